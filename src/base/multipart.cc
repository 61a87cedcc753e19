#include "base/multipart.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"

namespace tenfold {
namespace {

constexpr std::size_t kMaxParts = 64;
constexpr std::size_t kMaxHeaderBytes = 8 << 10;

[[noreturn]] void Refuse(const std::string& problem) { throw Error(Code::kInvalidArgument, "multipart/form-data: " + problem); }

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// The value of `name` among a header's parameters, quotes and their escapes undone; empty if absent.
std::string ParameterOf(std::string_view header, std::string_view name) {
  auto at = header.find(';');
  while (at != std::string_view::npos) {
    ++at;
    const auto equals = header.find('=', at);
    if (equals == std::string_view::npos) return {};
    const auto key = Lower(Trim(header.substr(at, equals - at)));
    std::string value;
    at = equals + 1;
    while (at < header.size() && header[at] == ' ') ++at;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        // Browsers send a path's backslash as it is; only a quote is escaped by one.
        if (header[at] == '\\' && at + 1 < header.size() && (header[at + 1] == '"' || header[at + 1] == '\\')) ++at;
        value += header[at];
      }
      at = header.find(';', at);
    } else {
      const auto end = std::min(header.find(';', at), header.size());
      value = Trim(header.substr(at, end - at));
      at = end < header.size() ? end : std::string_view::npos;
    }
    if (key == name) return value;
  }
  return {};
}

}  // namespace

std::vector<FormPart> ParseMultipart(std::string_view content_type, std::string_view body) {
  if (Lower(Trim(content_type.substr(0, content_type.find(';')))) != "multipart/form-data") Refuse("the content-type is another one");
  const auto boundary = ParameterOf(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70) Refuse("the content-type names no boundary of 1 to 70 characters");
  const auto delimiter = "--" + boundary;
  std::vector<FormPart> parts;
  auto at = body.starts_with(delimiter) ? 0 : body.find("\r\n" + delimiter);
  if (at == std::string_view::npos) Refuse("the boundary does not occur");
  if (at != 0) at += 2;
  for (;;) {
    at += delimiter.size();
    if (body.substr(at, 2) == "--") return parts;
    while (at < body.size() && (body[at] == ' ' || body[at] == '\t')) ++at;
    if (body.substr(at, 2) != "\r\n") Refuse("a boundary does not end its line");
    at += 2;
    if (parts.size() == kMaxParts) Refuse("there are more than " + std::to_string(kMaxParts) + " parts");
    const auto headers_end = body.substr(at, kMaxHeaderBytes).find("\r\n\r\n");
    if (headers_end == std::string_view::npos) Refuse("a part's headers do not end within " + std::to_string(kMaxHeaderBytes) + " bytes");
    FormPart part;
    auto headers = body.substr(at, headers_end);
    while (!headers.empty()) {
      const auto end = std::min(headers.find("\r\n"), headers.size());
      const auto line = headers.substr(0, end);
      headers.remove_prefix(std::min(end + 2, headers.size()));
      const auto colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      const auto name = Lower(Trim(line.substr(0, colon)));
      const auto value = Trim(line.substr(colon + 1));
      if (name == "content-disposition") {
        part.name = ParameterOf(value, "name");
        part.filename = ParameterOf(value, "filename");
      } else if (name == "content-type") {
        part.content_type = value;
      }
    }
    if (part.name.empty()) Refuse("a part has no name");
    at += headers_end + 4;
    const auto end = body.find("\r\n" + delimiter, at);
    if (end == std::string_view::npos) Refuse("the body is cut off before the last boundary");
    part.body = body.substr(at, end - at);
    parts.push_back(std::move(part));
    at = end + 2;
  }
}

}  // namespace tenfold
