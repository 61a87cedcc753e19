#pragma once
/// \file Bodies of the type multipart/form-data: what a browser's form and an upload of a file send. Source: RFC 7578, RFC 2046 §5.1.
#include <string>
#include <string_view>
#include <vector>

namespace tenfold {

struct FormPart {
  std::string name;
  std::string filename;      ///< empty if it is no file
  std::string content_type;  ///< as sent; empty: text/plain
  std::string_view body;     ///< inside what was parsed
};

/// The parts in their order, at most 64. `content_type` is the request's header, which names the boundary.
/// Errors: kInvalidArgument (another type, no boundary, a part without a name, cut off).
std::vector<FormPart> ParseMultipart(std::string_view content_type, std::string_view body);

}  // namespace tenfold
