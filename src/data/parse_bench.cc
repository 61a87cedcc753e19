// Pages of text PDF a second, and the pool's own cost. PDFs are made here of real prose (the licences that every Debian has) set in 10 points, 55 lines a page.
// Usage: parse_bench [google benchmark's options]. It runs itself as the confined child.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "base/files.h"
#include "base/process.h"
#include "data/parse.h"
#include "data/parsers/files_for_tests.h"
#include "data/parsers/parsers.h"

namespace tenfold::data {
namespace {

std::string Prose() {
  for (const char* path : {"/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/GPL-2"})
    if (std::filesystem::exists(path)) return ReadFile(path);
  throw Error(Code::kNotFound, "no text under /usr/share/common-licenses");
}

std::string MakeBook(int pages) {
  const auto prose = Prose();
  std::vector<std::vector<parsers::PdfLine>> out;
  std::size_t at = 0;
  for (int p = 0; p < pages; ++p) {
    std::vector<parsers::PdfLine> lines{{60, 800, 14, "Section " + std::to_string(p + 1)}};
    while (lines.size() < 55) {
      if (at >= prose.size()) at = 0;
      const auto end = std::min(prose.find('\n', at), prose.size());
      lines.push_back({60, 790.0 - 13 * static_cast<double>(lines.size()), 10, prose.substr(at, end - at)});
      at = end + 1;
    }
    out.push_back(std::move(lines));
  }
  return parsers::MakePdf(out);
}

ParserPool& Pool() {
  static ParserPool pool({.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "parse-document"}, .children = 1});
  return pool;
}

void BM_PdfPages(benchmark::State& state) {
  const auto pdf = MakeBook(static_cast<int>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(Pool().Parse(Context::System("bench"), pdf, parsers::kPdf));
  state.counters["pages/s"] = benchmark::Counter(static_cast<double>(state.range(0) * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_PdfPages)->Arg(1)->Arg(20)->Arg(200)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_SmallMarkdown(benchmark::State& state) {
  const auto text = Prose().substr(0, 2000);
  for (auto _ : state) benchmark::DoNotOptimize(Pool().Parse(Context::System("bench"), text, parsers::kMarkdown));
}
BENCHMARK(BM_SmallMarkdown)->Unit(benchmark::kMicrosecond)->UseRealTime();

void BM_Html(benchmark::State& state) {
  std::string page = "<html><body><nav><a href=/>x</a></nav><main><h1>Licence</h1>";
  for (std::size_t at = 0, n = 0; n < 200; ++n) {
    const auto prose = Prose().substr(at % 20'000, 300);
    page += "<p>" + prose + "</p>";
    at += 300;
  }
  page += "</main></body></html>";
  for (auto _ : state) benchmark::DoNotOptimize(parsers::ParseHtml(page));
  state.SetBytesProcessed(static_cast<std::int64_t>(page.size()) * state.iterations());
}
BENCHMARK(BM_Html)->Unit(benchmark::kMillisecond);

void BM_ScannedPage(benchmark::State& state) {
  if (!std::filesystem::exists("/usr/bin/tesseract")) return state.SkipWithError("tesseract is not installed");
  static const auto picture = [] {
    const auto pdf = MakeBook(1);
    ProcessSpec draw{{"/usr/bin/pdftoppm", "-gray", "-r", "200", "-singlefile", "-"}};
    draw.input = pdf;
    return RunProcess(Context::System("bench"), draw).output;
  }();
  int width = 0, height = 0;
  if (std::sscanf(picture.c_str(), "P5 %d %d", &width, &height) != 2) return state.SkipWithError("pdftoppm draws nothing");
  const auto scan = parsers::MakeScannedPdf(std::string_view(picture).substr(picture.size() - static_cast<std::size_t>(width) * static_cast<std::size_t>(height)), width, height);
  for (auto _ : state) benchmark::DoNotOptimize(Pool().Parse(Context::System("bench"), scan, parsers::kPdf));
}
BENCHMARK(BM_ScannedPage)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace tenfold::data

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "parse-document") return tenfold::data::ParseMain(true);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
