// The letter: what the operator of the second story had to write by hand.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "proxy/control/diagnosis/letter_steps.h"

namespace genkan::control {
namespace {

class Letter {
 public:
  Letter(const Examination& examination, const std::vector<Finding>& findings, WallTime at,
         Language language)
      : examination_(examination),
        findings_(findings),
        at_(at),
        language_(language),
        is_japanese_(language == Language::kJapanese) {}

  std::string Write() {
    Open();
    for (size_t i = 0; i < findings_.size(); ++i) WriteFinding(i);
    WriteSteps();
    WriteCheck();
    WriteSeen();
    text_ += is_japanese_ ? "\n以上、ご確認のほどよろしくお願いいたします。\n" : "\nBest regards\n";
    return std::move(text_);
  }

 private:
  std::string Where() const {
    return examination_.kind == TargetKind::kServer ? HostPort(examination_)
                                                    : Printable(examination_.target);
  }

  void Open() {
    const std::string title(TitleOf(findings_.front().code, language_));
    const std::string day = FormatIso8601(at_);
    const bool is_acme = examination_.kind == TargetKind::kAcme;
    if (is_japanese_) {
      text_ += fmt::format("件名: {} {}について（{}）\n\n", Where(),
                           is_acme ? "の証明書の自動更新" : "のサーバー証明書", title);
      text_ += "お世話になっております。\n\n";
      text_ += fmt::format("{} を {} に確認したところ、以下の問題が見つかりました。\n", Where(),
                           DayOf(at_, language_));
      text_ += "お手数ですが、ご確認と設定の修正をお願いいたします。\n";
      return;
    }
    text_ += fmt::format("Subject: {}: {}\n\nHello,\n\n", Where(), title);
    text_ += fmt::format(
        "this is what I found when I looked at {} ({}). Could you put it right, "
        "please?\n",
        Where(), day);
  }

  void WriteFinding(size_t index) {
    const Finding& finding = findings_[index];
    text_ += fmt::format("\n{}{}. {} ({})\n", is_japanese_ ? "■ " : "", index + 1,
                         TitleOf(finding.code, language_), ToString(finding.code));
    text_ += "   " + CauseOf(finding.code, finding.facts, language_) + "\n";
    if (!finding.file.empty())
      text_ +=
          fmt::format("   {}: {}\n", is_japanese_ ? "ファイル" : "File", Printable(finding.file));
    if (finding.clients.empty()) return;
    text_ += is_japanese_ ? "   影響を受けるクライアントと、表示されるエラー:\n"
                          : "   Who fails, and what they say:\n";
    for (const ClientFailure& one : finding.clients) {
      text_ += fmt::format("   - {}\n", LabelOf(one.client, language_));
      for (const ClientMessage& message : one.messages)
        text_ += fmt::format("       {}: {}\n", message.program, message.text);
    }
  }

  void WriteSteps() {
    text_ += is_japanese_ ? "\n■ 対応手順\n" : "\nWhat to do\n";
    std::set<Remedy> told;
    for (const Finding& finding : findings_) {
      const Remedy remedy = RemedyFor(finding.code);
      if (!told.insert(remedy).second) continue;
      if (!Differs()) {
        text_ += StepsFor(remedy, finding, examination_, language_);
        continue;
      }
      text_ += fmt::format(" {} {}\n", is_japanese_ ? "・" : "-", TitleOf(finding.code, language_));
      text_ += StepsFor(remedy, finding, examination_, language_);
    }
  }
  // More than one thing to do, so that each wants a heading.
  bool Differs() const {
    return std::any_of(findings_.begin(), findings_.end(), [this](const Finding& finding) {
      return RemedyFor(finding.code) != RemedyFor(findings_.front().code);
    });
  }

  void WriteCheck() {
    text_ += is_japanese_ ? "\n■ 修正後の確認\n" : "\nHow to see that it worked\n";
    if (examination_.kind == TargetKind::kServer) {
      const std::string at = HostPort(examination_);
      const bool is_name = examination_.host.find_first_not_of("0123456789.:") != std::string::npos;
      text_ +=
          fmt::format("       openssl s_client -connect {}{} -verify_return_error </dev/null\n", at,
                      is_name ? " -servername " + examination_.host : "");
      text_ += is_japanese_ ? "     最後に「Verify return code: 0 (ok)」と表示されれば正常です。\n"
                            : "     It ends with \"Verify return code: 0 (ok)\".\n";
      text_ += fmt::format("       curl -sS -o /dev/null https://{}/\n", at);
      text_ += fmt::format("       genkan doctor {}\n", at);
    } else {
      text_ += fmt::format("       genkan doctor {}\n", ShellQuoted(examination_.target));
    }
    text_ += is_japanese_
                 ? "     genkan doctor が何も表示しなければ完了です（curl -k や検証の無効化は"
                   "解決になりません）。\n"
                 : "     genkan doctor then has nothing to say. (curl -k and switching "
                   "verification off cure nothing.)\n";
  }

  void WriteSeen() {
    if (examination_.chains.empty()) return;
    const bool is_server = examination_.kind == TargetKind::kServer;
    text_ += is_japanese_ ? (is_server ? "\n■ 確認時の状態（送られている証明書）\n"
                                       : "\n■ 確認時のファイルの内容\n")
                          : (is_server ? "\nWhat is sent now\n" : "\nWhat is in the files now\n");
    for (const SeenChain& chain : examination_.chains) {
      constexpr size_t kMost = 10;
      for (size_t i = 0; i < chain.sent.size() && i < kMost; ++i) {
        const tls::Certificate& one = *chain.sent[i];
        text_ += fmt::format("   {} {}\n       {}: {}\n       {}: {}, {}: {}\n", i,
                             Printable(one.subject()), is_japanese_ ? "発行者" : "issued by",
                             Printable(one.issuer()), is_japanese_ ? "有効期限" : "until",
                             FormatIso8601(one.not_after()),
                             is_japanese_ ? "シリアル番号" : "serial", one.serial_hex());
      }
    }
  }

  const Examination& examination_;
  const std::vector<Finding>& findings_;
  const WallTime at_;
  const Language language_;
  const bool is_japanese_;
  std::string text_;
};

}  // namespace

std::string LetterFor(const Examination& examination, const std::vector<Finding>& findings,
                      WallTime at, Language language) {
  if (findings.empty()) return {};
  return Letter(examination, findings, at, language).Write();
}

}  // namespace genkan::control
