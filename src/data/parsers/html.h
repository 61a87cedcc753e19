#pragma once
/// \file HTML to Markdown-like text, for pages, mails and the chapters of books.
#include <string>
#include <string_view>

namespace tenfold::data::parsers {

struct HtmlText {
  std::string title;     ///< of the <title> element
  std::string text;      ///< not yet tidied
  std::string language;  ///< of the <html> element
};

/// Of a page: its <main> or only <article>, without navigation, banners, forms and what is hidden. Of a part (a mail, a chapter): everything that is shown.
enum class HtmlKind : std::uint8_t { kPage, kPart };

/// `html` is UTF-8. Errors: kResourceExhausted (nests too deep).
HtmlText ReadHtml(std::string_view html, HtmlKind kind);
/// The same with every element that XHTML closes in its own tag ("<title/>") closed by another, which is how HTML reads it.
std::string ExpandSelfClosing(std::string_view xhtml);

}  // namespace tenfold::data::parsers
