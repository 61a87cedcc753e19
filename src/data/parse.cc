#include "data/parse.h"

#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data {

std::string_view MediaTypeOf(const std::filesystem::path& path) {
  static constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".md", parsers::kMarkdown}, {".markdown", parsers::kMarkdown}, {".txt", parsers::kPlainText}, {".text", parsers::kPlainText}, {".html", parsers::kHtml},
      {".htm", parsers::kHtml},    {".xhtml", parsers::kHtml},        {".csv", parsers::kCsv},       {".tsv", parsers::kTsv},        {".tab", parsers::kTsv},
      {".json", parsers::kJson},   {".jsonl", parsers::kJsonLines},   {".ndjson", parsers::kJsonLines}, {".docx", parsers::kDocx},   {".pdf", parsers::kPdf},
      {".pptx", parsers::kPptx},   {".xlsx", parsers::kXlsx},         {".epub", parsers::kEpub},         {".eml", parsers::kMail},
      {".png", parsers::kPng},     {".jpg", parsers::kJpeg},          {".jpeg", parsers::kJpeg},     {".tif", parsers::kTiff},       {".tiff", parsers::kTiff}};
  const auto extension = parsers::Lower(path.extension().string());
  for (const auto& [ending, type] : kTypes)
    if (extension == ending) return type;
  return {};
}

ParsedDocument ParseBytes(const Context& ctx, std::string_view bytes, std::string_view media_type) { return parsers::ParseNested(ctx, bytes, media_type, 0); }

ParsedDocument parsers::ParseNested(const Context& ctx, std::string_view bytes, std::string_view media_type, int nested) {
  if (nested > kMaxNesting) throw Error(Code::kResourceExhausted, "it lies more than " + std::to_string(kMaxNesting) + " files deep");
  if (bytes.size() > kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "the file has " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
  // "text/html; charset=koi8-r"
  const auto semicolon = std::min(media_type.find(';'), media_type.size());
  const auto declared = parsers::Lower(parsers::Trim(media_type.substr(0, semicolon)));
  std::string charset;
  if (semicolon < media_type.size()) {
    const auto parameters = parsers::Lower(media_type.substr(semicolon + 1));
    if (const auto at = parameters.find("charset="); at != std::string::npos) charset = parameters.substr(at + 8, parameters.find(';', at) - at - 8);
  }
  const auto type = SniffMediaType(bytes, declared);
  if (type == parsers::kMarkdown) return parsers::ParseMarkdown(bytes, charset);
  if (type == parsers::kPlainText) return parsers::ParsePlainText(bytes, charset);
  if (type == parsers::kHtml) return parsers::ParseHtml(bytes, charset);
  if (type == parsers::kCsv) return parsers::ParseCsv(bytes, charset);
  if (type == parsers::kTsv) return parsers::ParseTsv(bytes, charset);
  if (type == parsers::kJson) return parsers::ParseJsonDocument(bytes, charset);
  if (type == parsers::kJsonLines) return parsers::ParseJsonLines(bytes, charset);
  if (type == parsers::kPdf) return parsers::ParsePdf(ctx, bytes);
  if (type == parsers::kDocx) return parsers::ParseDocx(bytes);
  if (type == parsers::kPptx) return parsers::ParsePptx(bytes);
  if (type == parsers::kXlsx) return parsers::ParseXlsx(bytes);
  if (type == parsers::kEpub) return parsers::ParseEpub(bytes);
  if (type == parsers::kMail) return parsers::ParseMail(ctx, bytes, nested);
  if (type == parsers::kPng || type == parsers::kJpeg || type == parsers::kTiff) return parsers::ParseImage(ctx, bytes, type);
  throw Error(Code::kUnimplemented, "there is no parser for '" + std::string(media_type) + "'; there are: Markdown, text, HTML, CSV, TSV, JSON, JSON Lines, PDF, DOCX, PPTX, XLSX, EPUB, EML, PNG, JPEG, TIFF");
}

ParsedDocument ParseMarkdown(std::string_view bytes) { return parsers::ParseMarkdown(bytes); }

}  // namespace tenfold::data
