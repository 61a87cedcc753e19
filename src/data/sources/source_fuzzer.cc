// What the services that documents come from answer: a listing or an Error, and of a listing the first documents. The first byte chooses the source; answers have a byte 0x1e between.
#include <cstdlib>

#include "base/answers_testing.h"
#include "base/error.h"
#include "data/s3_client.h"
#include "data/sources/github.h"
#include "data/sources/notion.h"
#include "data/sources/openapi.h"
#include "data/sources/s3.h"

namespace {

using namespace tenfold;
using namespace tenfold::data;

std::unique_ptr<Source> Open(unsigned number, const std::string& url) {
  SourceSetup setup;
  setup.allow_private_addresses = true;
  setup.haste = 1e9;
  setup.secret = [](std::string_view name) { return name == "NOTION_TOKEN" || name == "GITHUB_TOKEN" ? std::string("token") : std::string(); };
  switch (number) {
    case 0: return OpenGithubSource(url + "/owner/repo", setup);
    case 1: return OpenGithubSource(url + "/owner/repo#issues&whole_every=60", setup);
    case 2: return OpenNotionSource(url + "#whole_every=60", setup);
    case 3: return OpenOpenapiSource(url + "/openapi.json#path=/items&title=name&updated=at", setup);
    case 4: return OpenOpenapiSource(url + "/openapi.json#path=/items&items=data.items&paging=cursor&next=next&page_param=after&template=%23%20{name}", setup);
    case 5: return OpenS3Source(url + "/bucket/folder?page=2", setup);
    default: return OpenS3Source(url + "/bucket?access=tags", setup);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace std::chrono_literals;
  if (size < 1) return 0;
  const std::string_view answers(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (answers.find("//") != std::string_view::npos || answers.find("\\/") != std::string_view::npos) return 0;  // a link to where nothing shall be asked
  static AnsweringServer server;
  server.AnswerWithBodies(answers, '\x1e', "ETag: \"e\"\r\n");
  const auto ctx = Context::System("fuzz").WithTimeout(30s);
  try {
    const auto source = Open(data[0] % 7, server.url());
    std::string page;
    for (int pages = 0; pages < 3; ++pages) {
      const auto listed = source->List(ctx, "", page);
      for (std::size_t i = 0; i < std::min<std::size_t>(2, listed.items.size()); ++i) {
        if (listed.items[i].path.empty()) std::abort();
        if (!listed.items[i].problem.empty()) continue;
        try {
          source->Read(ctx, listed.items[i]);
        } catch (const Error&) {
        }
      }
      if (listed.next.empty()) break;
      if (listed.next == page) std::abort();
      page = listed.next;
    }
  } catch (const Error& e) {
    if (e.code() == Code::kDeadlineExceeded) std::abort();
  }
  return 0;
}
