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

// tesseract holds a picture several times over; the child's memory is 1 GB.
constexpr double kMostPicturePixels = 60e6;

struct Extent {
  double width = 0, height = 0;
};

std::uint32_t BigEndian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i) out = out << 8 | static_cast<unsigned char>(bytes[at + i]);
  return out;
}

/// What the picture's head says, so that a small file of a huge picture is refused before it is unpacked. 0, 0: does not say.
/// Source: PNG 1.2, 11.2.2 (IHDR); JPEG, ITU T.81, B.2.2 (frame headers); TIFF 6.0, sections 2 and 8 (first directory).
Extent ExtentOf(std::string_view bytes, std::string_view media_type) {
  if (media_type == kPng) return {static_cast<double>(BigEndian(bytes, 16, 4)), static_cast<double>(BigEndian(bytes, 20, 4))};
  if (media_type == kJpeg) {
    for (std::size_t at = 2; at + 9 < bytes.size();) {
      if (static_cast<unsigned char>(bytes[at]) != 0xff) return {};
      const auto marker = static_cast<unsigned char>(bytes[at + 1]);
      if (marker == 0xff || (marker >= 0xd0 && marker <= 0xd8) || marker == 0x01) {
        at += marker == 0xff ? 1 : 2;
        continue;
      }
      if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) return {static_cast<double>(BigEndian(bytes, at + 7, 2)), static_cast<double>(BigEndian(bytes, at + 5, 2))};
      at += 2 + std::max<std::size_t>(BigEndian(bytes, at + 2, 2), 2);
    }
    return {};
  }
  const bool little = bytes.starts_with("II");
  const auto number = [&](std::size_t at, std::size_t size) {
    std::string part(bytes.substr(std::min(at, bytes.size()), size));
    if (little) std::reverse(part.begin(), part.end());
    return BigEndian(part, 0, part.size());
  };
  Extent out;
  const std::size_t directory = number(4, 4);
  for (std::size_t i = 0, count = std::min<std::size_t>(number(directory, 2), 200); i < count; ++i) {
    const auto at = directory + 2 + 12 * i;
    const auto tag = number(at, 2), type = number(at + 2, 2);
    const double value = number(at + 8, type == 3 ? 2 : 4);
    if (tag == 256) out.width = value;
    if (tag == 257) out.height = value;
  }
  return out;
}

}  // namespace

ParsedDocument ParseImage(const Context& ctx, std::string_view bytes, std::string_view media_type) {
  const auto extent = ExtentOf(bytes, media_type);
  if (extent.width * extent.height > kMostPicturePixels)
    throw Error(Code::kResourceExhausted, "the picture has " + std::to_string(static_cast<long>(extent.width * extent.height / 1e6)) + " million pixels, limit " + std::to_string(static_cast<long>(kMostPicturePixels / 1e6)));
  Pages pages;
  pages.pages = ReadPicture(ctx, bytes, 1, 0);
  auto document = WritePages(std::move(pages));
  document.media_type = media_type;
  if (document.text.find_first_not_of(" \n\t#|-.,'\"") == std::string::npos) throw Error(Code::kInvalidArgument, "no text could be read from the picture");
  return document;
}

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
