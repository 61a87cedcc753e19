#pragma once
/// \file Pages of a document as pictures, for the viewer of a citation.
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::data {

/// A page of a PDF as PNG, drawn in a confined child: `command` + page number, see RenderMain. Units: `page` from 1; the picture's longer side has kRenderPixels, whatever the page says of itself.
/// Errors: kInvalidArgument (not a PDF, no such page), kResourceExhausted (too large), kDeadlineExceeded.
std::string RenderPdfPage(const Context& ctx, const std::vector<std::string>& command, std::string_view pdf, std::int64_t page);
inline constexpr int kRenderPixels = 1400;

/// What the child runs: confines itself and becomes pdftoppm (a separate program), which reads the PDF on standard input. Returns only if that fails.
int RenderMain(std::string_view page, bool allow_without_landlock);

}  // namespace tenfold::data
