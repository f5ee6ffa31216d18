#include "proxy/control/diagnosis/letter_steps.h"

#include <fmt/core.h>

#include <algorithm>

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

bool IsHostName(std::string_view name) {
  return !name.empty() && name.front() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) || c == '.' || c == '-';
  });
}

class Steps {
 public:
  Steps(const Finding& finding, const Examination& examination, Language language)
      : finding_(finding),
        is_japanese_(language == Language::kJapanese),
        name_(NameOf(examination)) {}

  std::string Take() { return std::move(text_); }

  void ForChain() {
    Say("Get the intermediate certificate. With certbot there is nothing to get: use fullchain.pem "
        "where cert.pem is named now. Otherwise the authority has it on its download page "
        "(\"intermediate\", \"CA bundle\").",
        "中間証明書を用意します。certbot の場合は用意不要です。設定で cert.pem "
        "を指定している箇所を fullchain.pem "
        "に変えるだけで済みます。それ以外は、認証局のダウンロードページから入手してください"
        "（「中間証明書」「中間 CA 証明書」「CA バンドル」など）。");
    if (const std::string url = UrlForCommand(finding_.facts.url); !url.empty()) {
      Say("The certificate itself says where it is:", "証明書自体に入手先が書かれています:");
      Command("curl -fsS -o intermediate.der " + ShellQuoted(url));
      Command("openssl x509 -inform DER -in intermediate.der -out intermediate.crt");
    }
    Say("Put them into one file: the server's certificate first, then each issuer; nothing twice, "
        "nothing expired, no root:",
        "サーバー証明書を先頭に、発行者の順で一つのファイルにまとめます（重複・期限切れ・ルート証明"
        "書は入れません）:");
    Command("cat server.crt intermediate.crt > fullchain.crt");
    Say("See what is in it, in order:", "中身と順序の確認:");
    Command(kListCommand);
    Say("Name that file and reload:", "そのファイルを設定し、再読み込みします:");
    Configure();
  }

  void ForCrossSign() {
    Say("Take the certificate \"" + finding_.facts.subject + "\" that was issued by \"" +
            finding_.facts.issuer +
            "\" out of the file; it is the last one, mostly. See which is which:",
        "発行者が「" + finding_.facts.issuer + "」である証明書「" + finding_.facts.subject +
            "」をファイルから取り除きます（通常は最後の一枚です）。中身の確認:");
    Command(kListCommand);
    Say("With certbot, ask for the short chain once; renewals keep to it:",
        "certbot の場合は、短いチェーンを一度指定すれば以後の更新でも維持されます:");
    Command("certbot renew --cert-name " + ShellQuoted(name_) +
            " --preferred-chain 'ISRG Root X1' --force-renewal");
    Say("Reload:", "再読み込みします:");
    Configure();
  }

  void ForRenewal() {
    Say("Renew the certificate. With certbot, see first why it did not happen by itself:",
        "証明書を更新します。certbot の場合は、まず自動更新が動かなかった理由を確認してください:");
    Command("certbot renew --dry-run");
    Command("certbot renew --cert-name " + ShellQuoted(name_));
    Command("systemctl list-timers | grep -i certbot");
    Say("A renewed file is not served before the server has read it. Reload it, and let every "
        "renewal "
        "do so (certbot: --deploy-hook 'systemctl reload nginx'):",
        "ファイルを更新しても、サーバーが読み直すまで古い証明書が使われ続けます。再読み込みし、今後"
        "の更新時にも"
        "自動で行われるようにします（certbot: --deploy-hook 'systemctl reload nginx'）:");
    Reload();
  }

  void ForName() {
    const std::string host = finding_.facts.host.empty() ? name_ : finding_.facts.host;
    Say("Either this name has no server block of its own, and the certificate of another site is "
        "shown; or the certificate has to be issued anew with the name. Which site answers:",
        "この名前の設定（server ブロックや VirtualHost）が無く別サイトの証明書が返されているか、"
        "この名前を含めた証明書の再発行が必要かのどちらかです。どの設定が応答しているかの確認:");
    Command("nginx -T | grep -nE 'server_name|ssl_certificate '");
    Command("apachectl -S");
    Say("With certbot, name all names of the certificate, the old ones too:",
        "certbot で再発行する場合（従来の名前もすべて指定します）:");
    Command("certbot certonly --cert-name " + ShellQuoted(name_) + " -d " + ShellQuoted(host) +
            " -d …");
    Reload();
  }

  void ForKey() {
    Say("Compare the public key of both files; the two lines must be equal:",
        "両方のファイルの公開鍵を比べます（二行が同じになるはずです）:");
    Command("openssl x509 -in fullchain.crt -noout -pubkey | sha256sum");
    Command("openssl pkey -in server.key -pubout | sha256sum");
    Say("Name the key that the certificate was requested with. If it is lost, the certificate "
        "cannot "
        "be used: have it issued anew with a new key. Then:",
        "証明書を申請したときの秘密鍵を指定してください。失われている場合、その証明書は使えません。"
        "新しい鍵で再発行してください。その後:");
    Configure();
  }

  void ForRevoked() {
    Say("Get a new certificate with a new key today; the old key may be the reason for the "
        "revocation. With certbot:",
        "本日中に、新しい秘密鍵で証明書を再発行してください（失効の原因が古い鍵にある可能性がありま"
        "す）。certbot の場合:");
    Command("certbot renew --force-renewal --no-reuse-key --cert-name " + ShellQuoted(name_));
    Reload();
  }

  void ForStaple() {
    Say("Switch OCSP stapling on, or have the certificate issued without must-staple:",
        "OCSP ステープリングを有効にするか、Must-Staple なしで証明書を再発行します:");
    Block("nginx", {"ssl_stapling        on;", "ssl_stapling_verify on;",
                    "resolver            127.0.0.53;"});
    Block("Apache", {"SSLUseStapling   On", "SSLStaplingCache shmcb:/var/run/ocsp(128000)"});
    Block("genkan", {"[ocsp]", "enabled = true"});
    Reload();
  }

  void ForVersion() {
    Say("Switch TLS 1.2 and 1.3 on (OpenSSL 1.0.1 or later is needed):",
        "TLS 1.2 と 1.3 を有効にします（OpenSSL 1.0.1 以降が必要です）:");
    Block("nginx", {"ssl_protocols TLSv1.2 TLSv1.3;"});
    Block("Apache", {"SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1"});
    Block("genkan", {"[tls]", "profile = \"intermediate\""});
    Reload();
  }

  void ForSelfSigned() {
    Say("Get a certificate of a public authority, for example with certbot, and name it:",
        "公的な認証局の証明書を取得し（例: certbot）、設定します:");
    Command("certbot certonly --webroot -w /var/www/html -d " + ShellQuoted(name_));
    Configure();
  }

  void ForTrust() {
    Say("If the authority is your own, each client needs its root:",
        "社内認証局の場合は、各クライアントにルート証明書を登録します:");
    Command("cp root.crt /usr/local/share/ca-certificates/ && update-ca-certificates");
    Command("curl --cacert root.crt https://" + name_ + "/");
    Say("Otherwise the certificates that were sent are not those of the authority that issued the "
        "certificate: build the file anew.",
        "そうでない場合は、送られている中間証明書が実際の発行元のものと異なります。ファイルを作り直"
        "してください。");
    ForChain();
  }

  void ForAcme() {
    Say("Install a certbot of today in place of the old one (certbot-auto is no longer "
        "maintained):",
        "古い certbot（certbot-auto は保守が終了しています）を新しいものに入れ替えます:");
    Command("certbot --version");
    Command("snap install --classic certbot");
    Say("Take the old address out of the renewal files; certbot then uses its own:",
        "更新設定から古いアドレスを取り除きます（certbot の既定値が使われます）:");
    Command("sed -i.bak '/^server = .*acme-v01/d' /etc/letsencrypt/renewal/*.conf");
    Command("certbot renew --dry-run");
    Say("See in the log that it asks acme-v02 now:", "ログで acme-v02 への接続を確認します:");
    Command("grep 'Sending GET request to' /var/log/letsencrypt/letsencrypt.log");
    Command("certbot renew");
    Say("Authorities send no mail before a certificate expires (Let's Encrypt since June 2025): "
        "genkan warns in its log and metrics.",
        "期限切れを知らせるメールは届きません（Let's Encrypt は 2025年6月に廃止）。genkan "
        "はログとメトリクスで警告します。");
  }

  void ForAlert() {
    Say("See what the server itself says at that moment, and whether key and certificate belong "
        "together (the two lines must be equal):",
        "その時刻のサーバーのエラーログと、鍵と証明書が対応しているか（二行が同じになるはずです）を"
        "確認します:");
    Command("tail /var/log/nginx/error.log /var/log/apache2/error.log");
    Command("openssl x509 -in fullchain.crt -noout -pubkey | sha256sum");
    Command("openssl pkey -in server.key -pubout | sha256sum");
    Say("See which names it has certificates for:", "証明書が設定されている名前の確認:");
    Command("nginx -T | grep -nE 'server_name|ssl_certificate'");
    Command("apachectl -S");
    Command("genkan check");
  }

  void ForPlain() {
    Say("Switch TLS on for this port:", "このポートで TLS を有効にします:");
    Block("nginx", {"listen 443 ssl;"});
    Block("Apache", {"SSLEngine on"});
    Block("genkan", {"[[listener]]", "address = \":443\"", "tls     = true"});
    Reload();
  }

  void ForReach() {
    Say("On the server, see whether it runs, and where it listens:",
        "サーバー上で、起動しているか、どこで待ち受けているかを確認します:");
    Command("ss -ltnp");
    Command("nginx -t; apachectl configtest; genkan check");
    Command("systemctl status nginx apache2 genkan --no-pager");
    Say("From outside, see the name's addresses and whether a firewall is in the way:",
        "外部から、名前のアドレスと途中のファイアウォールを確認します:");
    Command("getent ahosts " + ShellQuoted(name_));
  }

  void ForEveryServer() {
    Say("Put the same certificate and chain on each of the servers and reload each of them. Ask "
        "one "
        "after the other:",
        "すべてのサーバーに同じ証明書とチェーンを設置し、それぞれ再読み込みします。一台ずつの確認"
        ":");
    Command("curl -sv --resolve " + ShellQuoted(name_ + ":443:ADDRESS") + " https://" + name_ +
            "/ 2>&1 | grep -E 'subject|expire'");
    Reload();
  }

  void ForFiles() {
    Say("Look at the files with the program's own eyes: each must be whole and readable.",
        "ファイルが壊れておらず、読み取れることを確認します:");
    Command("openssl x509 -in fullchain.crt -noout -subject -enddate");
    Command("ls -lL fullchain.crt server.key");
  }

 private:
  static constexpr const char* kListCommand =
      "openssl crl2pkcs7 -nocrl -certfile fullchain.crt | openssl pkcs7 -print_certs -noout";

  static std::string NameOf(const Examination& examination) {
    if (!examination.host.empty()) return examination.host;
    for (const SeenChain& chain : examination.chains) {
      if (chain.sent.empty()) continue;
      // It goes into commands: a stranger's certificate may name anything.
      for (const std::string& name : chain.sent.front()->names())
        if (IsHostName(name)) return name;
    }
    return "example.com";
  }

  void Say(const std::string& english, const std::string& japanese) {
    text_ += fmt::format("  {}. {}\n", ++number_, is_japanese_ ? japanese : english);
  }
  void Command(const std::string& line) { text_ += "       " + line + "\n"; }
  void Block(std::string_view program, std::vector<std::string> lines) {
    text_ += fmt::format("     {}:\n", program);
    for (const std::string& line : lines) Command(line);
  }

  void Configure() {
    Block("nginx", {"ssl_certificate     /etc/nginx/ssl/fullchain.crt;",
                    "ssl_certificate_key /etc/nginx/ssl/server.key;",
                    "$ nginx -t && systemctl reload nginx"});
    Block(is_japanese_ ? "Apache 2.4.8 以降" : "Apache 2.4.8 and later",
          {"SSLCertificateFile      /etc/apache2/ssl/fullchain.crt",
           "SSLCertificateKeyFile   /etc/apache2/ssl/server.key",
           "$ apachectl configtest && apachectl graceful"});
    Block(is_japanese_ ? "それより古い Apache" : "Apache before that",
          {"SSLCertificateFile      /etc/httpd/ssl/server.crt",
           "SSLCertificateChainFile /etc/httpd/ssl/intermediate.crt",
           "SSLCertificateKeyFile   /etc/httpd/ssl/server.key",
           "$ apachectl configtest && apachectl graceful"});
    Block(is_japanese_ ? "genkan（順序・重複・不足は自動で補正されます）"
                       : "genkan (puts order, duplicates and missing links right by itself)",
          {"certificates = [\"/etc/letsencrypt/live/" + name_ + "\"]",
           "$ genkan check && genkan reload"});
  }

  void Reload() {
    Block("nginx", {"$ nginx -t && systemctl reload nginx"});
    Block("Apache", {"$ apachectl configtest && apachectl graceful"});
    Block(is_japanese_ ? "genkan（ファイルの更新を自動で検知します）"
                       : "genkan (takes renewed files by itself)",
          {"$ genkan check && genkan status"});
  }

  const Finding& finding_;
  const bool is_japanese_;
  const std::string name_;
  std::string text_;
  int number_ = 0;
};

}  // namespace

Remedy RemedyFor(FindingCode code) {
  switch (code) {
    case FindingCode::kChainExpiredCrossSign:
      return Remedy::kCrossSign;
    case FindingCode::kLeafExpired:
    case FindingCode::kLeafNotYetValid:
    case FindingCode::kLeafExpiresSoon:
    case FindingCode::kChainIntermediateExpiresSoon:
    case FindingCode::kMustRenew:
    case FindingCode::kStandbyUnusable:
      return Remedy::kRenew;
    case FindingCode::kNameMismatch:
    case FindingCode::kNameNotInSan:
      return Remedy::kName;
    case FindingCode::kKeyMismatch:
      return Remedy::kKey;
    case FindingCode::kRevoked:
      return Remedy::kRevoked;
    case FindingCode::kMustStapleWithoutStaple:
    case FindingCode::kMustStapleWithoutResponder:
    case FindingCode::kMustStapleOcspOff:
    case FindingCode::kStapleInvalid:
      return Remedy::kStaple;
    case FindingCode::kTlsVersionOld:
      return Remedy::kVersion;
    case FindingCode::kSelfSigned:
    case FindingCode::kServerNoCertificate:
      return Remedy::kSelfSigned;
    case FindingCode::kRootNotTrusted:
    case FindingCode::kTrustStoreUnreadable:
    case FindingCode::kTrustStoreEmpty:
      return Remedy::kTrust;
    case FindingCode::kAcmeV1Client:
      return Remedy::kAcme;
    case FindingCode::kServerAlert:
    case FindingCode::kServerHungUp:
    case FindingCode::kServerBadTls:
      return Remedy::kAlert;
    case FindingCode::kServerNotTls:
      return Remedy::kPlain;
    case FindingCode::kServerNotFound:
    case FindingCode::kServerRefused:
    case FindingCode::kServerUnreachable:
    case FindingCode::kServerTimeout:
      return Remedy::kReach;
    case FindingCode::kServersDiffer:
      return Remedy::kEveryServer;
    case FindingCode::kCertificateUnreadable:
    case FindingCode::kCertificateMissing:
    case FindingCode::kFileDamaged:
    case FindingCode::kPoolUnreadable:
    case FindingCode::kConfigError:
    case FindingCode::kConfigWarning:
      return Remedy::kFiles;
    default:
      return Remedy::kChain;
  }
}

std::string StepsFor(Remedy remedy, const Finding& finding, const Examination& examination,
                     Language language) {
  static constexpr void (Steps::*kMakers[])() = {
      &Steps::ForChain,      &Steps::ForCrossSign, &Steps::ForRenewal,     &Steps::ForName,
      &Steps::ForKey,        &Steps::ForRevoked,   &Steps::ForStaple,      &Steps::ForVersion,
      &Steps::ForSelfSigned, &Steps::ForTrust,     &Steps::ForAcme,        &Steps::ForAlert,
      &Steps::ForPlain,      &Steps::ForReach,     &Steps::ForEveryServer, &Steps::ForFiles};
  static_assert(std::size(kMakers) == static_cast<size_t>(Remedy::kFiles) + 1);
  Steps steps(finding, examination, language);
  (steps.*kMakers[static_cast<size_t>(remedy)])();
  return steps.Take();
}

std::string ShellQuoted(std::string_view text) {
  const bool is_plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) ||
           std::string_view("._-/:@%+=,").find(c) != std::string_view::npos;
  });
  if (is_plain && text.front() != '-') return std::string(text);
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string UrlForCommand(std::string_view url) {
  if (!url.starts_with("http://") && !url.starts_with("https://")) return {};
  const bool is_tame = std::all_of(url.begin(), url.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) ||
           std::string_view("._-/:%~+=?&").find(c) != std::string_view::npos;
  });
  return is_tame ? std::string(url) : std::string();
}

}  // namespace genkan::control
