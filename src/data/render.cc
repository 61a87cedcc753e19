#include "data/render.h"

#include <unistd.h>

#include <iostream>

#include "base/process.h"
#include "base/sandbox.h"
#include "data/parse.h"

namespace tenfold::data {

std::string RenderPdfPage(const Context& ctx, const std::vector<std::string>& command, std::string_view pdf, std::int64_t page) {
  if (pdf.size() > kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "the file has " + std::to_string(pdf.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
  if (page < 1 || page > 100'000) throw Error(Code::kInvalidArgument, "page: is a number from 1", "page");
  ProcessSpec spec{command};
  spec.argv.push_back(std::to_string(page));
  spec.input = pdf;
  auto result = RunProcess(ctx, spec);
  if (result.exit_status != 0 || !result.output.starts_with("\x89PNG")) throw Error(Code::kInvalidArgument, "page " + std::to_string(page) + " cannot be drawn; the PDF may have fewer pages", "page");
  return std::move(result.output);
}

int RenderMain(std::string_view page, bool allow_without_landlock) {
  try {
    SandboxLimits limits;
    limits.readable = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/fonts", "/var/cache/fontconfig"};
    EnterSandbox(limits, allow_without_landlock);
    const std::string number(page), pixels = std::to_string(kRenderPixels);
    ::execl("/usr/bin/pdftoppm", "pdftoppm", "-png", "-scale-to", pixels.c_str(), "-f", number.c_str(), "-l", number.c_str(), "-singlefile", "-", static_cast<char*>(nullptr));
    std::cerr << "pdftoppm cannot be run\n";
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
  }
  return 1;
}

}  // namespace tenfold::data
