// The words of each finding, in English and Japanese. Names in braces are FindingFacts.
#include <fmt/args.h>
#include <fmt/core.h>

#include "proxy/control/diagnosis/finding.h"

namespace genkan::control {
namespace {

struct Words {
  const char *title, *title_ja;
  const char *cause, *cause_ja;
};

// The order is FindingCode's.
constexpr Words kWords[] = {
    // kChainMissingIntermediate
    {"an intermediate certificate is missing", "中間証明書が送られていません",
     "The server sends {subject} without the certificate of its issuer, {issuer}. Clients trust a "
     "handful of roots and need the intermediate to get there. Browsers often hide the mistake: "
     "they have the intermediate from another site, or fetch it; programs do neither and refuse.",
     "サーバーは {subject} だけを送り、その発行者である {issuer} "
     "の証明書（中間証明書）を送っていません。"
     "クライアントが信頼しているのはルート証明書だけなので、中間証明書が無いと検証できません。"
     "ブラウザは他のサイトで覚えた中間証明書を使ったり自動で取得したりするため問題なく見えますが、"
     "curl や PHP などのプログラムはそれを行わず、接続を拒否します。"},
    // kChainOrder
    {"the certificates are in the wrong order", "証明書の順序が正しくありません",
     "The certificates are sent out of order: {subject} is not followed by the certificate that "
     "signed it. Each one must certify the one before it (RFC 5246, 7.4.2). Today's browsers and "
     "OpenSSL sort them; smaller and older libraries take the order as it comes and refuse.",
     "証明書が正しい順序で送られていません（{subject} "
     "の次に、それに署名した証明書が来ていません）。"
     "各証明書は直前の証明書に署名したものでなければなりません（RFC 5246 7.4.2）。"
     "最近のブラウザや OpenSSL は並べ替えてくれますが、組み込み機器や古いライブラリは拒否します。"},
    // kChainDuplicate
    {"a certificate is sent twice", "同じ証明書が二重に送られています",
     "{subject} is sent more than once. Usually cert.pem was put in front of fullchain.pem, which "
     "has it already. Clients that take the order as it comes refuse; for the others it is waste "
     "in "
     "every handshake.",
     "{subject} が二回以上送られています。fullchain.pem の前に、すでに含まれている cert.pem を"
     "重ねて連結した場合によく起こります。順序どおりに検証するクライアントは拒否し、"
     "それ以外のクライアントでも接続のたびに無駄な通信になります。"},
    // kChainUnrelated
    {"an unrelated certificate is sent", "関係のない証明書が送られています",
     "{subject} is sent, but has nothing to do with the server's certificate: mostly an old "
     "intermediate that was left in the file after a renewal. Clients that take the order as it "
     "comes refuse.",
     "{subject} が送られていますが、サーバー証明書とは関係がありません。"
     "更新前の古い中間証明書がファイルに残っている場合がほとんどです。"
     "順序どおりに検証するクライアントは拒否します。"},
    // kChainRootSent
    {"the root is sent too", "ルート証明書まで送られています",
     "The root {subject} is sent along. No client needs it: whoever trusts it has it, and nobody "
     "trusts it because a server sends it. It costs bytes in every handshake.",
     "ルート証明書 {subject} まで送られています。信頼しているクライアントはすでに持っており、"
     "送られてきたからといって信頼されるわけでもないため、必要ありません。"
     "接続のたびに余分な通信が発生します。"},
    // kChainExpiredIntermediate
    {"an intermediate certificate has expired", "中間証明書の有効期限が切れています",
     "The intermediate {subject} expired on {day}. The server's own certificate may still be "
     "valid, but nothing that was signed below an expired one is accepted. The authority has a "
     "newer intermediate.",
     "中間証明書 {subject} の有効期限が {day} に切れています。サーバー証明書自体が有効でも、"
     "期限切れの中間証明書の下にあるものは受け入れられません。認証局から新しい中間証明書を入手でき"
     "ます。"},
    // kChainExpiredCrossSign
    {"a cross-signed certificate leads to an expired root",
     "期限切れのルートにつながるクロス証明書が送られています",
     "{subject} is sent as signed by {issuer}, and that way ended on {day}. New clients go another "
     "way, to the root that they trust themselves. OpenSSL before 1.1.0 (CentOS 6 and 7, old PHP) "
     "and old GnuTLS follow what they are sent, reach the expired end and stop there, although "
     "they have the right root.",
     "{issuer} が署名したクロス証明書 {subject} が送られていますが、この経路は {day} "
     "に期限が切れています。"
     "新しいクライアントは自分が信頼するルートへの別の経路を使います。しかし OpenSSL 1.1.0 より前"
     "（CentOS 6・7、古い PHP など）や古い GnuTLS は送られてきた経路をそのままたどるため、"
     "正しいルートを持っていても期限切れと判断して接続を拒否します。"},
    // kChainIntermediateExpiresSoon
    {"an intermediate certificate is about to expire", "中間証明書の有効期限が迫っています",
     "The intermediate {subject} expires on {day}, before the certificate that it signed. From "
     "that "
     "day on clients refuse the server.",
     "中間証明書 {subject} の有効期限は {day} で、それが署名したサーバー証明書より先に切れます。"
     "その日からクライアントは接続を拒否します。"},
    // kChainTooLong
    {"too many certificates are sent", "送られる証明書が多すぎます",
     "{detail} certificates are sent; two or three do. Clients have limits on their number and "
     "size, and every visitor pays for them in every handshake.",
     "{detail} "
     "枚もの証明書が送られています（通常は二、三枚で足ります）。枚数や大きさに上限を設けている"
     "クライアントがあり、接続のたびに余分な通信にもなります。"},
    // kChainNotVerified
    {"clients cannot verify the certificate", "クライアントが証明書を検証できません",
     "The certificates of {subject} are complete, but clients refuse them: {detail}.",
     "{subject} の証明書は揃っていますが、クライアントは検証に失敗します: {detail}"},
    // kRootNotTrusted
    {"nobody trusts the root", "ルート証明書が信頼されていません",
     "The chain ends at {issuer}, which is in no trust store here. With an authority of your own "
     "each client needs that root; otherwise the wrong certificates are sent.",
     "証明書チェーンの終点 {issuer} は、ここの信頼済みルートに含まれていません。"
     "社内認証局であれば各クライアントにそのルート証明書が必要です。"
     "そうでなければ、送る証明書が間違っています。"},
    // kSelfSigned
    {"the certificate is self-signed", "自己署名証明書です",
     "{subject} signed itself: no client trusts it that was not told to. It is what servers come "
     "with before a real certificate is put in place.",
     "{subject} は自分自身で署名した証明書（いわゆるオレオレ証明書）です。"
     "個別に設定していないクライアントは信頼しません。"
     "正式な証明書を設定する前の初期状態のままになっている可能性があります。"},
    // kLeafExpired
    {"the certificate has expired", "サーバー証明書の有効期限が切れています",
     "The certificate {subject} expired on {day}. Every client refuses it.",
     "サーバー証明書 {subject} の有効期限が {day} "
     "に切れています。すべてのクライアントが接続を拒否します。"},
    // kLeafNotYetValid
    {"the certificate is not valid yet", "サーバー証明書の有効期間がまだ始まっていません",
     "The certificate {subject} is not valid before {day}. Either it was put in place too early, "
     "or "
     "a clock is wrong.",
     "サーバー証明書 {subject} は {day} より前には有効になりません。"
     "設置が早すぎたか、時計がずれている可能性があります。"},
    // kLeafExpiresSoon
    {"the certificate expires soon", "サーバー証明書の有効期限が迫っています",
     "The certificate {subject} expires on {day} and should have been renewed by now. Authorities "
     "send no reminders any more (Let's Encrypt since June 2025): does the renewal run?",
     "サーバー証明書 {subject} の有効期限は {day} です。本来ならすでに更新されている時期です。"
     "期限切れを知らせるメールは届きません（Let's Encrypt は 2025年6月に廃止）。"
     "自動更新が動いているかご確認ください。"},
    // kNameMismatch
    {"the certificate is for another name", "証明書のホスト名が一致しません",
     "The certificate does not cover {host}. It is for {names}.",
     "証明書は {host} を対象としていません。対象となっている名前: {names}"},
    // kNameNotInSan
    {"the name is in the subject alone", "ホスト名が SAN に含まれていません",
     "The certificate has {host} only as the common name of its subject, without a "
     "subjectAltName. Browsers and newer libraries (Chrome since 58, Go, Python) do not look there "
     "any more.",
     "証明書のサブジェクト（CN）にしか {host} が書かれておらず、SAN（subjectAltName）がありません。"
     "ブラウザや新しいライブラリ（Chrome 58 以降、Go、Python など）は CN を見ません。"},
    // kKeyMismatch
    {"the key belongs to another certificate", "秘密鍵と証明書が一致しません",
     "The private key does not match the certificate {subject}: {detail}. Either the key was made "
     "anew for a renewal and one of the two files was left as it was, or the files of two sites "
     "were "
     "mixed up. Some servers start with such a pair and then fail every handshake.",
     "秘密鍵が証明書 {subject} と一致しません（{detail}）。更新時に作り直した鍵と証明書の片方だけを"
     "差し替えたか、別のサイトのファイルと取り違えている可能性があります。"
     "この状態でも起動はして、すべての接続が失敗するサーバーもあります。"},
    // kRevoked
    {"the certificate is revoked", "サーバー証明書が失効しています",
     "The authority revoked the certificate {subject} on {day} ({detail}). Browsers that ask "
     "refuse "
     "it, others will follow; it cannot be made good again.",
     "認証局が {day} にサーバー証明書 {subject} を失効させました（{detail}）。"
     "失効を確認するブラウザはすでに拒否します。失効を取り消すことはできません。"},
    // kMustStapleWithoutStaple
    {"must-staple, but no staple is sent", "OCSP Must-Staple なのにステープルが送られていません",
     "The certificate {subject} says must-staple: it is only good together with a fresh OCSP "
     "response in the handshake. The server sends none, so clients that keep to it refuse.",
     "サーバー証明書 {subject} には OCSP Must-Staple が指定されており、新しい OCSP "
     "応答を一緒に送る必要が"
     "あります。サーバーはそれを送っていないため、この指定に従うクライアントは拒否します。"},
    // kMustStapleWithoutResponder
    {"must-staple without an OCSP responder",
     "OCSP Must-Staple なのに OCSP レスポンダーがありません",
     "The certificate {subject} is must-staple but names no OCSP responder, so nothing can be "
     "stapled. Ask for one without must-staple.",
     "サーバー証明書 {subject} には OCSP Must-Staple が指定されていますが、OCSP レスポンダーの URL "
     "が"
     "無いため、ステープルできません。Must-Staple なしで再発行してください。"},
    // kMustStapleOcspOff
    {"must-staple, and stapling is off", "OCSP Must-Staple なのにステープリングが無効です",
     "The certificate {subject} is must-staple, and [ocsp] enabled = false: browsers refuse it "
     "without a staple.",
     "サーバー証明書 {subject} には OCSP Must-Staple が指定されていますが、[ocsp] enabled = false "
     "です。"
     "ステープルが無いとブラウザは拒否します。"},
    // kStapleInvalid
    {"the staple is no good", "OCSP ステープルが不正です",
     "The OCSP response that the server sends with {subject} is no good: {detail}. Firefox refuses "
     "such a connection; no staple would be better than this one.",
     "サーバーが {subject} と一緒に送る OCSP 応答が正しくありません（{detail}）。"
     "Firefox はこのような接続を拒否します。むしろ何も送らないほうがよい状態です。"},
    // kMustRenew
    {"the authority wants the certificate renewed", "認証局が証明書の更新を求めています",
     "The authority asks for a renewal of {subject} now ({detail}). It may be about to revoke it.",
     "認証局がサーバー証明書 {subject} の更新を求めています（{detail}）。"
     "まもなく失効させられる可能性があります。"},
    // kStandbyUnusable
    {"the standby certificate cannot stand in", "予備の証明書に切り替えられません",
     "The certificate {subject} should give way to the site's standby, which cannot stand in: "
     "{detail}.",
     "サーバー証明書 {subject} を予備の証明書に切り替えるべきですが、切り替えられません（{detail}）。"},
    // kServerNotFound
    {"the name has no address", "名前を解決できません",
     "{host} has no address: {detail}. A typing mistake, a missing DNS record, or no DNS here.",
     "{host} のアドレスが見つかりません（{detail}）。名前の打ち間違い、DNS レコードの不足、"
     "またはこのマシンの DNS の問題が考えられます。"},
    // kServerRefused
    {"nobody listens there", "接続が拒否されました",
     "{host} answers, but nothing listens on that port (connection refused). The server is not "
     "running, listens on another address or port, or did not start because of an error in its "
     "configuration.",
     "{host} には到達できますが、そのポートで待ち受けているものがありません（connection refused）。"
     "サーバーが起動していない、別のアドレスやポートで待ち受けている、"
     "または設定エラーで起動に失敗している可能性があります。"},
    // kServerUnreachable
    {"there is no way to the server", "サーバーに到達できません",
     "There is no connection to {host}: {detail}.", "{host} に接続できません: {detail}"},
    // kServerTimeout
    {"the server does not answer in time", "サーバーが時間内に応答しません",
     "{host} did not finish in time: {detail}. A firewall that drops packets, a server that is "
     "overloaded, or a program that waits for something else to be said first (SMTP, STARTTLS).",
     "{host} が時間内に応答しませんでした（{detail}）。パケットを破棄するファイアウォール、"
     "サーバーの過負荷、または別の手順を待つプロトコル（SMTP の STARTTLS など）が考えられます。"},
    // kServerNotTls
    {"this is no TLS", "TLS ではない応答が返ってきました",
     "{host} answers, but not with TLS: {detail}. Most often it is plain HTTP on this port: in "
     "nginx `ssl` is missing in `listen`, in Apache `SSLEngine on`.",
     "{host} から応答はありますが、TLS ではありません（{detail}）。"
     "多くの場合、このポートで平文の HTTP が動いています。nginx なら `listen` に `ssl` が、"
     "Apache なら `SSLEngine on` が抜けています。"},
    // kServerAlert
    {"the server refuses the handshake", "サーバーがハンドシェイクを拒否しました",
     "{host} ends the handshake with the alert \"{detail}\". The server has no usable certificate "
     "for this name (a key that does not match its certificate does that too), or it has no "
     "version or cipher in common with the client.",
     "{host} が TLS "
     "アラート「{detail}」でハンドシェイクを中断しました。この名前に使える証明書が無い"
     "（鍵と証明書の不一致でもこうなります）か、プロトコルや暗号方式に共通のものがありません。"},
    // kServerHungUp
    {"the server hangs up", "サーバーが接続を切断しました",
     "{host} takes the connection and then closes it before the handshake is done ({detail}). A "
     "filter that does not like this address (fail2ban), a server that waits for a PROXY protocol "
     "header, or one that does not know the name and says nothing.",
     "{host} "
     "は接続を受け付けた後、ハンドシェイクの途中で切断しました（{detail}）。接続元のアドレスが"
     "遮断されている（fail2ban など）、PROXY プロトコルのヘッダーを待っている、"
     "または名前に対応する設定が無い可能性があります。"},
    // kServerNoCertificate
    {"the server sends no certificate", "サーバーが証明書を送りません",
     "{host} finishes a handshake without any certificate.",
     "{host} は証明書を送らずにハンドシェイクを完了しました。"},
    // kServerBadTls
    {"the server breaks the rules of TLS", "サーバーの TLS に誤りがあります",
     "The handshake with {host} fails on this side: {detail}.",
     "{host} とのハンドシェイクがこちら側で失敗しました: {detail}"},
    // kServersDiffer
    {"its addresses serve different certificates", "アドレスごとに異なる証明書が返されます",
     "{host} has several addresses, and they do not serve the same certificate: {detail}. Who sees "
     "which depends on the network; mostly one server was forgotten at a renewal.",
     "{host} には複数のアドレスがあり、それぞれ異なる証明書を返します（{detail}）。"
     "どちらが見えるかは接続元の環境によります。更新時に一台だけ忘れられている場合がほとんどです"
     "。"},
    // kTlsVersionOld
    {"only versions of TLS that are retired", "古い TLS バージョンしか使えません",
     "{host} speaks {detail} at best. Browsers and current systems refuse what is older than TLS "
     "1.2.",
     "{host} が対応しているのは {detail} までです。ブラウザや現在のシステムは TLS 1.2 "
     "より古いものを拒否します。"},
    // kCertificateUnreadable
    {"the certificate cannot be used", "証明書を読み込めません",
     "The certificate cannot be used: {detail}.", "証明書を読み込めません: {detail}"},
    // kCertificateMissing
    {"no certificate is in service", "使用中の証明書がありません",
     "No certificate is in service: {detail}.", "使用中の証明書がありません: {detail}"},
    // kFileDamaged
    {"a file is damaged", "ファイルが壊れています",
     "A file beside the certificate is damaged: {detail}. What could be read is complete, but the "
     "file is mostly half-written or cut off.",
     "証明書のファイルが壊れています（{detail}）。読めた部分は足りていますが、"
     "書きかけや途中で切れたファイルの可能性があります。"},
    // kCertificateDropped
    {"a certificate is left out", "送信しない証明書があります",
     "{subject} is left out of what is sent: {detail}.",
     "{subject} は送信対象から外されます（{detail}）。"},
    // kPoolUnreadable
    {"the pool cannot be read", "pool を読み込めません", "pool: {detail}", "pool: {detail}"},
    // kTrustStoreUnreadable
    {"the trust store cannot be read", "信頼済みルートを読み込めません", "{detail}", "{detail}"},
    // kTrustStoreEmpty
    {"there are no roots on this machine", "信頼済みルートがありません",
     "There are no roots on this machine, so no chain can be verified; install ca-certificates.",
     "このマシンには信頼済みルートが無いため検証できません。ca-certificates "
     "をインストールしてください。"},
    // kConfigError
    {"an error in the configuration", "設定にエラーがあります", "{detail}", "{detail}"},
    // kConfigWarning
    {"a warning about the configuration", "設定に関する警告があります", "{detail}", "{detail}"},
    // kAcmeV1Client
    {"an ACME client speaks the retired version 1",
     "廃止された ACMEv1 を使うクライアントがあります",
     "{detail} shows a client that asks {url}: version 1 of the ACME protocol. Let's Encrypt shut "
     "it down on 1 June 2021, so no renewal succeeds; the certificate in place is the last one.",
     "{detail} に、{url}（ACME プロトコルのバージョン 1）へ接続するクライアントの記録があります。"
     "Let's Encrypt の ACMEv1 は 2021年6月1日に停止されたため、更新は成功しません。"
     "現在の証明書が切れるとサイトは閲覧できなくなります。"},
};
static_assert(std::size(kWords) == static_cast<size_t>(FindingCode::kAcmeV1Client) + 1);

const Words& WordsOf(FindingCode code) { return kWords[static_cast<size_t>(code)]; }

}  // namespace

std::string_view TitleOf(FindingCode code, Language language) {
  const Words& words = WordsOf(code);
  return language == Language::kJapanese ? words.title_ja : words.title;
}

std::string CauseOf(FindingCode code, const FindingFacts& facts, Language language) {
  const bool is_japanese = language == Language::kJapanese;
  const Words& words = WordsOf(code);
  const auto said = [&](const std::string& text, const char* nothing) {
    return text.empty() ? std::string(nothing) : text;
  };
  const char* somebody = is_japanese ? "（不明）" : "an unknown authority";
  const char* nothing = is_japanese ? "（なし）" : "no name at all";
  return fmt::format(
      fmt::runtime(is_japanese ? words.cause_ja : words.cause),
      fmt::arg("host", said(facts.host, is_japanese ? "サーバー" : "the server")),
      fmt::arg("subject", said(facts.subject, is_japanese ? "サーバー証明書" : "the certificate")),
      fmt::arg("issuer", said(facts.issuer, somebody)),
      fmt::arg("names", said(facts.names, nothing)), fmt::arg("url", facts.url),
      fmt::arg("detail", said(facts.detail, is_japanese ? "詳細不明" : "no more is known")),
      fmt::arg("day", DayOf(facts.when, language)));
}

}  // namespace genkan::control
