#include <gtest/gtest.h>

#include "base/files.h"
#include "base/process.h"
#include "base/testing.h"
#include "data/parsers/files_for_tests.h"
#include "data/parsers/mail.h"
#include "data/parsers/parsers.h"

namespace tenfold::data::parsers {
namespace {

ParsedDocument Parse(std::string_view bytes, std::string_view type = kMail) { return ParseBytes(Context::System("test"), bytes, type); }

std::string Base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * k) & 63];
    if (i % 57 == 54) out += "\r\n";
  }
  return out;
}

TEST(Mail, HeadersBecomeMetadataAndWordsAreDecoded) {
  const auto document = Parse(
      "From: =?utf-8?q?Gr=C3=A9ta?= =?utf-8?b?IE11c3Rlcg==?= <g@example.com>\r\nTo: a@example.com,\r\n b@example.com\r\nSubject: =?iso-8859-1?Q?R=FCckgabe_von?= Zelten\r\n"
      "Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@x>\r\nContent-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nBitte =80 50 zur=FCck=\r\nzahlen.\r\n");
  EXPECT_EQ(document.title, "Rückgabe von Zelten");
  EXPECT_EQ(document.text, "# Rückgabe von Zelten\n\nFrom: Gréta Muster <g@example.com>\nTo: a@example.com, b@example.com\nDate: Tue, 24 Nov 2026 10:00:00 +0100\n\nBitte € 50 zurückzahlen.\n");
  EXPECT_EQ(document.metadata.at("date").as_string(), "2026-11-24T09:00:00Z");
  EXPECT_EQ(document.metadata.at("message_id").as_string(), "<1@x>");
  EXPECT_EQ(DecodeHeader("=?utf-8?b?4oI=?= =?utf-8?b?rA==?="), "€");  // one character over two words
  EXPECT_EQ(DecodeHeader("50 =? 60"), "50 =? 60");
}

TEST(Mail, PartsAndAttachmentsAreReadByTheirOwnParsers) {
  const std::string pdf = MakePdf({{{60, 780, 18, "Invoice 17"}, {60, 740, 10, "To pay: 329 EUR within thirty days of today."}}});
  const auto document = Parse("Subject: Your order\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b=1\"\r\n\r\npreamble\r\n--b=1\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
                              "--inner\r\nContent-Type: text/plain\r\n\r\nplain form\r\n--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p><table><tr><td>a<td>b</table>\r\n--inner--\r\n"
                              "--b=1\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*0*=utf-8''Rech%C3; filename*1*=%BCng.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
                              Base64(pdf) + "\r\n--b=1\r\nContent-Type: text/csv; name=list.csv\r\n\r\nx,y\r\n1,2\r\n--b=1\r\nContent-Type: application/pdf; name=bad.pdf\r\n\r\nnothing\r\n--b=1\r\n"
                              "Content-Type: image/png\r\nContent-ID: <logo>\r\n\r\nxx\r\n--b=1\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nInner text.\r\n--b=1--\r\n");
  EXPECT_TRUE(document.text.starts_with("# Your order\n\nHello\n\n| a | b |\n\n## Attachment: Rechüng.pdf\n\n### Invoice 17\n\nTo pay: 329 EUR within thirty days of today.\n\n## Attachment: list.csv\n\n| x | y |\n| 1 | 2 |\n\n"
                                        "## Attachment: bad.pdf\n\n(not read: "))
      << document.text;
  EXPECT_TRUE(document.text.ends_with("## Attachment: message/rfc822\n\n### Inner\n\nInner text.\n")) << document.text;
  EXPECT_EQ(document.text.find("plain form"), std::string::npos);
}

TEST(Mail, WhatASenderCallsAPartIsToldInUtf8) {
  const auto text = Parse("Subject: s\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/ht\xffml\r\n\r\nx\r\n--b\r\nContent-Type: text/\xff\r\n\r\nx\r\n--b--\r\n").text;
  EXPECT_NE(text.find("## Attachment: text/ht"), std::string::npos) << text;
  EXPECT_TRUE(IsUtf8(text)) << text;
}

TEST(Mail, NestingAndPartsHaveLimits) {
  std::string deep = "Content-Type: text/plain\r\n\r\nx";
  for (int i = 0; i < 20; ++i) deep = "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\r\n\r\n--b" + std::to_string(i) + "\r\n" + deep;
  EXPECT_EQ(CodeOf([&] { Parse(deep); }), Code::kResourceExhausted);
  std::string messages = "Subject: last\r\n\r\nthe innermost";
  for (int i = 0; i < 10; ++i) messages = "Subject: s\r\nContent-Type: message/rfc822\r\n\r\n" + messages;
  const auto cut = Parse(messages);
  EXPECT_NE(cut.text.find("files deep"), std::string::npos) << cut.text;
  EXPECT_EQ(cut.text.find("innermost"), std::string::npos);
  std::string wide = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 2000; ++i) wide += "--b\r\n\r\nx\r\n";
  EXPECT_EQ(CodeOf([&] { Parse(wide); }), Code::kResourceExhausted);
  EXPECT_EQ(CodeOf([] { Parse("no headers at all"); }), Code::kInvalidArgument);
}

TEST(Image, TextIsReadWithBoxesAndHugePicturesAreRefused) {
  const std::string huge = std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\b\0\0\0\0\0\0\0\0", 33);
  EXPECT_EQ(CodeOf([&] { Parse(huge, kPng); }), Code::kResourceExhausted);
  if (!std::filesystem::exists("/usr/bin/tesseract")) GTEST_SKIP() << "tesseract is not installed";
  for (const auto& [flag, type] : {std::pair("-png", kPng), std::pair("-jpeg", kJpeg), std::pair("-tiff", kTiff)}) {
    const TemporaryFolder folder;
    const auto pdf = MakePdf({{{60, 780, 24, "Opening hours"}, {60, 700, 12, "We are open from nine to five on all days but Sunday."}}});
    ProcessSpec draw{{"/usr/bin/pdftoppm", flag, "-gray", "-r", "150", "-singlefile", "-", (folder.path() / "page").string()}};
    draw.input = pdf;
    ASSERT_EQ(RunProcess(Context::System("test"), draw).exit_status, 0);
    const auto file = std::filesystem::directory_iterator(folder.path())->path();
    EXPECT_EQ(MediaTypeOf(file), type);
    const auto document = Parse(ReadFile(file), kPlainText);
    EXPECT_EQ(document.media_type, type);
    EXPECT_EQ(document.text, "# Opening hours\n\nWe are open from nine to five on all days but Sunday.\n");
    ASSERT_EQ(document.pages.size(), 1u);
    EXPECT_NEAR(document.pages[0].width, 595 * 150 / 72, 2);
    EXPECT_NEAR(document.layout.at(1).left, 60 * 150 / 72, 8);
  }
  ProcessSpec blank{{"/usr/bin/pdftoppm", "-png", "-r", "50", "-singlefile", "-"}};
  const auto empty = MakePdf({{}});
  blank.input = empty;
  EXPECT_EQ(CodeOf([&] { Parse(RunProcess(Context::System("test"), blank).output, kPng); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { Parse("\xff\xd8\xff\xe0 broken", kJpeg); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::data::parsers
