#include "data/parsers/ocr.h"

#include <chrono>

#include "base/process.h"
#include "data/parsers/parsers.h"
#include "data/parsers/text.h"

namespace tenfold::data::parsers {
namespace {

using namespace std::chrono_literals;

constexpr double kPointsPerInch = 72;
// tesseract's own advice is 300; at 200 it reads 10-point text as well and takes half the time.
constexpr double kDotsPerInch = 200;
constexpr double kMostPixels = 5000;  // of a page's longer side
constexpr std::uint64_t kMaxImageBytes = 128u << 20;
constexpr std::uint64_t kMaxTsvBytes = 64u << 20;

constexpr const char* kNoTesseract = "pictures of text are read by tesseract, which is not installed: apt-get install tesseract-ocr tesseract-ocr-eng";

ProcessResult RunTool(const Context& ctx, std::vector<std::string> argv, std::string_view input, std::uint64_t limit) {
  ProcessSpec spec{std::move(argv)};
  spec.own_group = false;
  spec.input = input;
  spec.output_limit_bytes = limit;
  // One thread each: the pool of parsers is what uses the cores.
  spec.environment.push_back("OMP_THREAD_LIMIT=1");
  return RunProcess(ctx, spec);
}

std::vector<Page> ReadPicture(const Context& ctx, std::string_view image, double points_per_pixel, double dots_per_inch) {
  std::vector<std::string> argv{"/usr/bin/tesseract", "stdin", "stdout", "-l", "eng"};
  if (dots_per_inch > 0) {
    argv.push_back("--dpi");
    argv.push_back(std::to_string(static_cast<int>(dots_per_inch)));
  }
  argv.push_back("tsv");
  ProcessResult result;
  try {
    result = RunTool(ctx, std::move(argv), image, kMaxTsvBytes);
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound) throw Error(Code::kUnavailable, kNoTesseract);
    throw;
  }
  if (result.exit_status != 0 && result.errors.find("traineddata") != std::string::npos) throw Error(Code::kUnavailable, "tesseract has no data for English: apt-get install tesseract-ocr-eng");
  if (result.exit_status < 0) throw Error(Code::kResourceExhausted, "the picture cannot be read: tesseract ended by signal " + std::to_string(-result.exit_status) + ", as when memory ran out");
  if (result.exit_status != 0) throw Error(Code::kInvalidArgument, "the picture is damaged and cannot be read (tesseract: " + std::to_string(result.exit_status) + ")");
  return ReadTesseractTsv(result.output, points_per_pixel);
}

}  // namespace

std::int64_t ReadScannedPages(const Context& ctx, std::string_view pdf, std::vector<Page>& pages) {
  std::int64_t unread = 0;
  bool late = false;  // or without tesseract
  bool some = std::any_of(pages.begin(), pages.end(), [](const Page& page) { return page.has_text(); });
  std::chrono::microseconds slowest = 0us;
  for (std::size_t i = 0; i < pages.size(); ++i) {
    auto& page = pages[i];
    if (page.has_text()) continue;
    const auto begun = ctx.clock().Now();
    // Room for one that takes twice as long, and for what comes after.
    late = late || (some && ctx.deadline() - begun < 2 * slowest + 1s);
    if (late) {
      ++unread;
      continue;
    }
    const auto longest = std::max({page.size.width, page.size.height, 1.0});
    const auto pixels = std::clamp(longest * kDotsPerInch / kPointsPerInch, 100.0, kMostPixels);
    const auto number = std::to_string(i + 1);
    try {
      const auto drawn = RunTool(ctx, {"/usr/bin/pdftoppm", "-gray", "-scale-to", std::to_string(static_cast<int>(pixels)), "-f", number, "-l", number, "-singlefile", "-"}, pdf, kMaxImageBytes);
      if (drawn.exit_status != 0 || drawn.output.empty()) {
        ++unread;
        continue;
      }
      const auto scale = longest / static_cast<double>(static_cast<int>(pixels));
      auto read = ReadPicture(ctx, drawn.output, scale, kPointsPerInch / scale);
      if (!read.empty()) page.blocks = std::move(read[0].blocks);
      some = some || page.has_text();
    } catch (const Error& e) {
      if (!some || (e.code() != Code::kUnavailable && e.code() != Code::kDeadlineExceeded && e.code() != Code::kResourceExhausted)) throw;
      if (e.code() == Code::kDeadlineExceeded && ctx.done()) throw;
      late = e.code() == Code::kUnavailable;
      ++unread;
    }
    slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::microseconds>(ctx.clock().Now() - begun));
  }
  return unread;
}

}  // namespace tenfold::data::parsers
