# A client of today: OpenSSL 1.1.0 and later (curl, wget, python, PHP), GnuTLS 3.6.14 and later, NSS, Go,
# Java, browsers.
#
# Holds:  what trust_store holds.
# Paths:  looks into its store at every step, before it looks at what the server sent. It stops at the
#         first trusted root; what lies above that in the chain does not matter.
# Dates:  of every certificate, also of the root.
client         = Clients of today
required       = true
path           = store_first
root_dates     = checked
security_level = 1
