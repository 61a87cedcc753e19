// What the model servers and search indexes of others answer: read or refused with an Error. The first byte chooses the client; answers have a byte 0x1e between.
#include <cmath>
#include <cstdlib>

#include "base/answers_testing.h"
#include "base/error.h"
#include "models/openai_backend.h"
#include "models/remote_embedder.h"
#include "models/remote_reranker.h"
#include "retrieval/backends/pinecone.h"
#include "retrieval/backends/weaviate.h"

namespace {

using namespace tenfold;
using namespace tenfold::retrieval;

const IndexRecord kRecord{.id = "a", .group = "g", .access = "public", .text = "some words", .vector = {0.5f, 0.5f}, .metadata = {{"year", 2000}, {"tags", JsonArray{"x"}}}};

/// Each way to ask, whatever the others gave.
void UseIndex(const Context& ctx, SearchIndex& index) {
  using Kind = IndexChange::Kind;
  const auto attempt = [](const auto& ask) {
    try {
      ask();
    } catch (const Error&) {
    }
  };
  const std::string ids[] = {"a", "b"};
  const IndexChange changes[] = {{Kind::kPut, kRecord}, {Kind::kSetAccess, kRecord}, {Kind::kMerge, kRecord}, {Kind::kDelete, kRecord}};
  attempt([&] { index.Search(ctx, "", {.vector = {1, 0}, .k = 3, .filter = ParseFilter(JsonObject{{"year", JsonObject{{"$gte", 1999}}}}), .diversity = 0.5}); });
  attempt([&] { index.Search(ctx, "t", {.text = "words", .vector = {1, 0}, .k = 3, .facets = {"year"}}); });
  attempt([&] { index.Fetch(ctx, "", ids); });
  attempt([&] { index.List(ctx, "", "a", "", 10); });
  attempt([&] { index.Namespaces(ctx); });
  attempt([&] { index.Write(ctx, "", changes); });
  attempt([&] { index.DeleteNamespace(ctx, "t"); });
}

void CheckVectors(const std::vector<std::vector<float>>& vectors, std::uint32_t dim) {
  for (const auto& one : vectors)
    if (one.size() != dim || std::any_of(one.begin(), one.end(), [](float x) { return !std::isfinite(x); })) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace std::chrono_literals;
  if (size < 1) return 0;
  static AnsweringServer server;
  server.AnswerWithBodies({reinterpret_cast<const char*>(data) + 1, size - 1}, '\x1e');
  const auto ctx = Context::System("fuzz").WithTimeout(30s);
  const std::string texts[] = {"one", "two"};
  const auto embed = [&](const auto& open, const std::string& url) {
    const auto embedder = open(ctx, url, "key");
    const auto vectors = embedder->Embed(ctx, texts, models::EmbedKind::kPassage);
    if (vectors.size() != std::size(texts)) std::abort();
    CheckVectors(vectors, embedder->dim());
  };
  const auto rank = [&](const std::string& url) {
    const auto scores = models::OpenRemoteReranker(url, "key")->Score(ctx, "question", texts);
    if (scores.size() != std::size(texts) || std::any_of(scores.begin(), scores.end(), [](float x) { return !(x >= 0 && x <= 1); })) std::abort();
  };
  try {
    switch (data[0] % 8) {
      case 0: {
        models::GenerateRequest request;
        request.messages = {{"user", "hello"}};
        std::string told;
        const auto result = models::OpenOpenAiGenerator("openai:" + server.url() + "/v1#m", "key")->Generate(ctx, request, [&](std::string_view text) { told += text; });
        if (told != result.text) std::abort();
        break;
      }
      case 1: embed(models::OpenOpenAiEmbedder, "openai:" + server.url() + "/v1#m"); break;
      case 2: embed(models::OpenCohereEmbedder, "cohere:" + server.url() + "#m"); break;
      case 3: embed(models::OpenOllamaEmbedder, "ollama:" + server.url() + "#m"); break;
      case 4: rank("jina:" + server.url() + "#m"); break;
      case 5: rank("tei:" + server.url()); break;
      case 6: UseIndex(ctx, *OpenPineconeIndex(ctx, server.url(), {.dim = 2, .metric = Metric::kCosine, .api_key = "key"})); break;
      case 7: UseIndex(ctx, *OpenWeaviateIndex(ctx, server.url() + "/Things", {.dim = 2, .metric = Metric::kCosine, .api_key = "key"})); break;
    }
  } catch (const Error& e) {
    // No list of embeddings or scores is the caller's fault.
    if (e.code() == Code::kDeadlineExceeded || (e.code() == Code::kInvalidArgument && data[0] % 8 >= 1 && data[0] % 8 <= 5)) std::abort();
  }
  return 0;
}
