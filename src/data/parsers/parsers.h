#pragma once
/// \file The parsers, one file per family of formats. Private to floor data: others call ParseBytes (data/parse.h), tests and fuzzers the family they are about.
/// All throw as ParseBytes says. None but those with a Context starts another program.
#include <string_view>

#include "data/parse.h"

namespace tenfold::data::parsers {

inline constexpr std::string_view kMarkdown = "text/markdown";
inline constexpr std::string_view kPlainText = "text/plain";
inline constexpr std::string_view kHtml = "text/html";
inline constexpr std::string_view kCsv = "text/csv";
inline constexpr std::string_view kTsv = "text/tab-separated-values";
inline constexpr std::string_view kJson = "application/json";
inline constexpr std::string_view kJsonLines = "application/x-ndjson";
inline constexpr std::string_view kPdf = "application/pdf";
inline constexpr std::string_view kDocx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
inline constexpr std::string_view kPptx = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
inline constexpr std::string_view kXlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
inline constexpr std::string_view kEpub = "application/epub+zip";
inline constexpr std::string_view kMail = "message/rfc822";
inline constexpr std::string_view kPng = "image/png";
inline constexpr std::string_view kJpeg = "image/jpeg";
inline constexpr std::string_view kTiff = "image/tiff";

/// `charset`: what the carrier of the bytes says of them (a header, an attribute), "" if nothing; see DecodeText.
ParsedDocument ParseMarkdown(std::string_view bytes, std::string_view charset = {});
/// As Markdown, for headings and tables cost a text without them nothing.
ParsedDocument ParsePlainText(std::string_view bytes, std::string_view charset = {});
/// Main text without menus, banners and hidden parts; tables as rows, `pre` fenced.
ParsedDocument ParseHtml(std::string_view bytes, std::string_view charset = {});
/// Cells separated by commas or, if the first line has those instead, semicolons. "sep=;" as first line is followed.
ParsedDocument ParseCsv(std::string_view bytes, std::string_view charset = {});
ParsedDocument ParseTsv(std::string_view bytes, std::string_view charset = {});
/// Objects as "key: value" lines under headings, lists of flat objects as tables.
ParsedDocument ParseJsonDocument(std::string_view bytes, std::string_view charset = {});
/// One value a line. Errors name the line.
ParsedDocument ParseJsonLines(std::string_view bytes, std::string_view charset = {});
ParsedDocument ParsePdf(const Context& ctx, std::string_view bytes);
/// Headings, lists, tables, notes; pages where Word said they began when it saved.
ParsedDocument ParseDocx(std::string_view bytes);
/// A slide is a page; shapes with their boxes.
ParsedDocument ParsePptx(std::string_view bytes);
/// A sheet is a page without a size.
ParsedDocument ParseXlsx(std::string_view bytes);
ParsedDocument ParseEpub(std::string_view bytes);
/// A picture of text, or several in a TIFF: a page each. Units of the layout: pixels, for a picture's points are its pixels where it has no paper.
ParsedDocument ParseImage(const Context& ctx, std::string_view bytes, std::string_view media_type);
/// A message and what is attached to it, to kMaxNesting messages in messages.
ParsedDocument ParseMail(const Context& ctx, std::string_view bytes, int nested = 0);

inline constexpr int kMaxNesting = 4;
/// ParseBytes for what was found inside another document. Errors: also kResourceExhausted past kMaxNesting.
ParsedDocument ParseNested(const Context& ctx, std::string_view bytes, std::string_view media_type, int nested);

}  // namespace tenfold::data::parsers
