#include "proxy/config/ari_file.h"

#include "proxy/base/check.h"
#include "proxy/config/table_reader.h"
#include "proxy/net/address.h"

namespace genkan::config {
namespace {

// Plain HTTP would let whoever stands in between have certificates renewed at will.
bool IsDirectory(std::string_view url) {
  if (url.empty() || url.starts_with("https://")) return true;
  constexpr std::string_view kPlain = "http://";
  if (!url.starts_with(kPlain)) return false;
  const std::string_view authority =
      url.substr(kPlain.size(), url.find('/', kPlain.size()) - kPlain.size());
  if (authority.find('@') != std::string_view::npos) return false;
  return authority.starts_with("127.0.0.1:") || authority.starts_with("[::1]:") ||
         authority == "127.0.0.1" || authority == "[::1]";
}

void ReadAuthority(TableReader& table, AriAuthority& authority) {
  table.Read("issuer", authority.issuer);
  table.Read("directory", authority.directory);
  if (authority.issuer.empty()) table.Fail("issuer", "the organization of the issuer is missing");
  if (!IsDirectory(authority.directory))
    table.Fail("directory", "an https:// URL (http:// on loopback alone), or \"\" to ask nobody");
}

}  // namespace

OrErrors<std::vector<AriAuthority>> ReadAriText(std::string_view text, const std::string& file) {
  ReadingNotes notes;
  notes.file = file;
  const Value root = ParseToml(text, file, notes.problems);
  std::vector<AriAuthority> authorities;
  if (notes.problems.empty()) {
    TableReader table(root, "", "", notes);
    table.ReadTables("authority",
                     [&](TableReader& t) { ReadAuthority(t, authorities.emplace_back()); });
    table.Finish();
  }
  if (!notes.problems.empty()) return tl::unexpected(ToLines(std::move(notes.problems)));
  return authorities;
}

std::vector<AriAuthority> AllAriAuthorities(const Revocation& revocation) {
  std::vector<AriAuthority> all = revocation.authorities;
  static const std::vector<AriAuthority> builtin = [] {
    auto read = ReadAriText(BuiltinAriText(), "conf/ari.toml");
    GENKAN_CHECK(read.has_value());
    return *std::move(read);
  }();
  all.insert(all.end(), builtin.begin(), builtin.end());
  return all;
}

}  // namespace genkan::config
