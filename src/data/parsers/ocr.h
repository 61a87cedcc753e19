#pragma once
/// \file Text of pictures, by tesseract and pdftoppm: separate programs, started inside the confined child.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/context.h"
#include "data/parsers/page_layout.h"

namespace tenfold::data::parsers {

/// Draws the pages that have no text and reads the pictures. Returns how many of those were left unread for want of time or of tesseract.
/// Cost: 0.5 to 3 s a page; it stops in time for the context's deadline, with what it has.
/// Errors: kUnavailable if no page has text and tesseract is not installed; kDeadlineExceeded if not one could be read in time.
std::int64_t ReadScannedPages(const Context& ctx, std::string_view pdf, std::vector<Page>& pages);

}  // namespace tenfold::data::parsers
