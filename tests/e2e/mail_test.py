"""A mail server behind genkan renews its own certificate: its host has its own ACME client, genkan passes the path on."""

import re

from support.apache import Apache
from support.clients import curl_status, served_serial
from support.dovecot import Dovecot
from support.eventually import eventually
from support.genkan import PLAIN, Genkan
from support.pebble import Certbot, Pebble

CONFIG = PLAIN + """
[access_log]
output = "{access_log}"
format = "json"

[module.shut]
use           = "url_filter"
deny          = ["/*"]
deny_dotfiles = true

[[site]]
names                 = ["mail.test"]
upstream              = "{web}"
challenge_to_upstream = true
modules               = ["shut"]
"""


def test_a_mail_server_renews_its_own_certificate(ca, tmp_path):
    access_log = tmp_path / "access.json"
    # The mail host: a web server with nothing on it but certbot's webroot, certbot, and dovecot.
    with Apache({"index.html": "webmail"}) as web, \
            Genkan(tmp_path, CONFIG.format(web=web.url, access_log=access_log)) as genkan, \
            Pebble(tmp_path, ca, http_port=genkan.plain_port) as pebble:
        certbot = Certbot(tmp_path, pebble, ca, webroot=web.folder / "www")
        certbot.issue("mail.test")
        live = certbot.live("mail.test")
        root = pebble.root(tmp_path / "pebble-root.pem")
        with Dovecot(live / "fullchain.pem", live / "privkey.pem") as mail:
            first = served_serial(mail.port, "mail.test")
            assert "* OK" in mail.greeting(root, "mail.test"), mail.log()

            certbot.renew("--deploy-hook", mail.reload_command)
            eventually(lambda: served_serial(mail.port, "mail.test") not in (None, first), longest=60,
                       what="the renewed certificate is served over IMAPS")
            assert "* OK" in mail.greeting(root, "mail.test"), mail.log()

        assert curl_status(genkan, "mail.test", "/", tls=False) == 403, "all but the challenge is shut"
        assert curl_status(genkan, "mail.test", "/.well-known/acme-challenge/no-such", tls=False) == 404
        eventually(lambda: re.search(r"challenge_answered .*host=mail\.test\S* client=127\.0\.0\.1 by=upstream",
                                     genkan.log()), what="the upstream in the log")
        eventually(lambda: '"answered_by":"acme_challenge:upstream"' in access_log.read_text(),
                   what="the access log names the upstream")
