// The cross-encoder against what `transformers` says of the same model with random weights (testdata/make_tiny_cross_encoder.py): its numbers are checked here, no quality. Servers of re-rankers
// are a small one written from notes of their wire formats; no real one was asked.
#include "models/reranker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/files.h"
#include "base/http_server.h"
#include "base/json.h"
#include "base/testing.h"
#include "models/bert_reranker.h"
#include "models/remote_reranker.h"

namespace tenfold::models {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(TENFOLD_SOURCE_DIR) / "src/models/testdata/tiny_cross_encoder";

struct PairCase {
  std::string query, passage;
  std::vector<std::int32_t> ids, types;
  double logit = 0;
};
TENFOLD_DESCRIBE(PairCase, (query), (passage), (ids), (types), (logit))

std::vector<PairCase> Cases() {
  static const auto cases = FromJson<std::vector<PairCase>>(ParseJson(ReadFile(kFolder / "reference.json")).at("cases"));
  return cases;
}

TEST(BertReranker, CutsAPairAsTokenizersDo) {
  const WordPiece words(ReadFile(kFolder / "vocab.txt"));
  std::size_t cut = 0;
  for (const auto& one : Cases()) {
    const auto pair = EncodePair(words, one.query, one.passage, 48);
    EXPECT_EQ(pair.ids, one.ids) << one.query << " | " << one.passage;
    EXPECT_EQ(pair.first, static_cast<std::size_t>(std::count(one.types.begin(), one.types.end(), 0))) << one.query;
    cut += pair.ids.size() == 48;
  }
  EXPECT_GE(cut, 4u);
}

TEST(BertReranker, EqualsTransformersInEachPrecision) {
  for (const auto& [precision, error] : {std::pair(Precision::kFloat32, 1e-4), std::pair(Precision::kBfloat16, 0.05), std::pair(Precision::kInt8, 0.3)}) {
    const auto model = OpenBertReranker(kFolder, {.precision = precision});
    EXPECT_EQ(model->name(), "tiny_cross_encoder");
    for (const auto& one : Cases()) {
      const auto score = model->Score(Context::System("test"), one.query, std::span(&one.passage, 1)).at(0);
      EXPECT_NEAR(std::log(score / (1 - score)), one.logit, error) << static_cast<int>(precision) << " " << one.query << " | " << one.passage;
    }
  }
}

TEST(BertReranker, GivesAPassageTheSameScoreInAnyCompanyOnAnyNumberOfThreads) {
  const auto model = OpenBertReranker(kFolder, {}), shared = OpenBertReranker(kFolder, {.threads = 3});
  const auto ctx = Context::System("test");
  std::vector<std::string> passages;
  for (int i = 0; i < 40; ++i) passages.push_back(Cases()[static_cast<std::size_t>(i) % Cases().size()].passage + (i % 3 ? " boots" : ""));
  const auto together = model->Score(ctx, "how do i return boots", passages);
  ASSERT_EQ(together.size(), passages.size());
  for (std::size_t i = 0; i < passages.size(); ++i) EXPECT_EQ(together[i], model->Score(ctx, "how do i return boots", std::span(passages).subspan(i, 1)).at(0)) << i;
  EXPECT_TRUE(model->Score(ctx, "x", {}).empty());
  std::vector<std::thread> callers;  // many, and few helpers
  for (int i = 0; i < 4; ++i) callers.emplace_back([&] { EXPECT_EQ(together, shared->Score(ctx, "how do i return boots", passages)); });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(CodeOf([&] { shared->Score(ctx.WithTimeout(-1s), "x", passages); }), Code::kDeadlineExceeded);
  EXPECT_EQ(CodeOf([&] { model->Score(ctx.WithTimeout(-1s), "x", passages); }), Code::kDeadlineExceeded);
}

TEST(BertReranker, RefusesWhatIsNoCrossEncoder) {
  EXPECT_EQ(CodeOf([] { OpenBertReranker("/nonexistent"); }), Code::kNotFound);
  const TemporaryFolder copy;
  for (const char* file : {"model.safetensors", "vocab.txt", "config.json"}) fs::copy(kFolder / file, copy.path() / file);
  EXPECT_NO_THROW(OpenBertReranker(copy.path()));
  auto config = ParseJson(ReadFile(kFolder / "config.json"));
  const auto refused = [&](const char* field, Json value) {
    auto changed = config;
    changed.as_object()[field] = std::move(value);
    WriteFileAtomically(copy.path() / "config.json", ToText(changed));
    return CodeOf([&] { OpenBertReranker(copy.path()); });
  };
  EXPECT_EQ(refused("hidden_act", "silu"), Code::kInvalidArgument);
  EXPECT_EQ(refused("num_attention_heads", 5), Code::kInvalidArgument);
  EXPECT_EQ(refused("num_attention_heads", 0), Code::kInvalidArgument);
  EXPECT_EQ(refused("model_type", "xlm-roberta"), Code::kInvalidArgument);
  WriteFileAtomically(copy.path() / "config.json", ToText(config));
  // Every tensor is needed, and of its shape: a name altered in the header is one that is missing.
  const auto bytes = ReadFile(kFolder / "model.safetensors");
  for (const char* name : {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.embeddings.token_type_embeddings.weight", "bert.encoder.layer.1.output.LayerNorm.bias"}) {
    auto altered = bytes;
    altered[altered.find(std::string("\"") + name + "\"") + 3] = '_';
    WriteFileAtomically(copy.path() / "model.safetensors", altered);
    EXPECT_EQ(CodeOf([&] { OpenBertReranker(copy.path()); }), Code::kInvalidArgument) << name;
  }
  WriteFileAtomically(copy.path() / "model.safetensors", bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(CodeOf([&] { OpenBertReranker(copy.path()); }), Code::kDataLoss);
}

/// Scores a passage by how often it says the question's first word, tenths.
class RerankServer {
 public:
  RerankServer() {
    for (const char* path : {"/v2/rerank", "/v1/rerank", "/rerank"})
      rows_.push_back({"POST", path, Access::kPublic, 10s, "", [this, path = std::string(path)](const Context&, const HttpRequest& http) { return Answer(path, http); }});
    server_.emplace(HttpServerOptions{}, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  std::string lie;  ///< if set, the body of every 200
  std::atomic<int> busy = 0;
  bool logits = false;

 private:
  HttpResponse Answer(const std::string& path, const HttpRequest& http) {
    if (http.header("authorization") != "Bearer secret") return JsonResponse(JsonObject{{"message", "invalid api token"}}, 401);
    if (busy-- > 0) {
      auto response = JsonResponse(JsonObject{{"message", "slow down"}}, 429);
      response.headers.emplace_back("retry-after", "0");
      return response;
    }
    const auto body = ParseJson(http.body);
    const bool is_tei = path == "/rerank";
    if (!is_tei && body.at("model") != "rerank-test") return JsonResponse(JsonObject{{"message", "no such model"}}, 404);
    const auto& texts = body.at(is_tei ? "texts" : "documents").as_array();
    const std::string word(AsView(body.at("query").as_string()));
    JsonArray results;
    for (std::size_t i = texts.size(); i-- > 0;) {  // in any order
      const std::string text(AsView(texts[i].as_string()));
      if (text.empty()) return JsonResponse(JsonObject{{"message", "empty document"}}, 400);
      if (text.size() > 8000) return JsonResponse(JsonObject{{"message", "too long"}}, 413);
      double score = 0;
      for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) score += 0.1;
      results.emplace_back(JsonObject{{"index", i}, {is_tei ? "score" : "relevance_score", logits ? score * 10 - 2 : score}});
    }
    auto response = is_tei ? JsonResponse(results) : JsonResponse(JsonObject{{"id", "1"}, {"results", results}, {"meta", JsonObject{}}});
    if (!lie.empty()) response.body = lie;
    return response;
  }
  std::vector<Endpoint> rows_;
  Metrics metrics_;
  std::optional<HttpServer> server_;  // last: its threads end first
};

class RemoteRerankerContract : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Reranker> Open(const std::string& model = "rerank-test", const std::string& key = "secret") {
    const std::string scheme = GetParam();
    return OpenRemoteReranker(scheme + ":" + server_.url() + (scheme == "jina" ? "/v1" : "") + (scheme == "tei" ? "" : "#" + model), key);
  }
  RerankServer server_;
  const Context ctx_ = Context::System("test").WithTimeout(30s);
  const std::vector<std::string> passages_{"boots", "nothing", "boots and boots", "", std::string(9000, 'x') + "boots"};
};

TEST_P(RemoteRerankerContract, ScoresEachPassageInItsPlace) {
  const auto scores = Open()->Score(ctx_, "boots", passages_);
  ASSERT_EQ(scores.size(), passages_.size());
  const float expected[] = {0.1f, 0, 0.2f, 0, 0};
  for (std::size_t i = 0; i < scores.size(); ++i) EXPECT_NEAR(scores[i], expected[i], 1e-6) << i;
  server_.logits = true;
  const auto of_logits = Open()->Score(ctx_, "boots", passages_);
  EXPECT_NEAR(of_logits[0], 1 / (1 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(of_logits[1], 1 / (1 + std::exp(2.0)), 1e-6);
  EXPECT_TRUE(Open()->Score(ctx_, "boots", {}).empty());
}

TEST_P(RemoteRerankerContract, TriesAgainAndSaysWhatIsWrong) {
  server_.busy = 2;
  EXPECT_EQ(Open()->Score(ctx_, "boots", passages_).size(), passages_.size());
  EXPECT_EQ(CodeOf([&] { Open("rerank-test", "wrong")->Score(ctx_, "boots", passages_); }), Code::kUnauthenticated);
  if (std::string(GetParam()) != "tei") EXPECT_EQ(CodeOf([&] { Open("other")->Score(ctx_, "boots", passages_); }), Code::kInvalidArgument);
  const std::string field = std::string(GetParam()) == "tei" ? "score" : "relevance_score";
  const auto one = [&](const std::string& index, const std::string& score) { return "{\"index\":" + index + ",\"" + field + "\":" + score + "}"; };
  const auto list = [&](const std::string& inside) { return std::string(GetParam()) == "tei" ? "[" + inside + "]" : "{\"results\":[" + inside + "]}"; };
  for (const auto& lie : {std::string("{}"), std::string("[]"), std::string("nonsense"), list(one("0", "0.5")), list(one("0", "0.5") + "," + one("0", "0.5")), list(one("7", "0.5") + "," + one("1", "0.5")), list(one("-1", "0.5") + "," + one("1", "0.5")),
                          list(one("0", "\"high\"") + "," + one("1", "0.5"))}) {
    server_.lie = lie;
    EXPECT_EQ(CodeOf([&] { Open()->Score(ctx_, "boots", std::span(passages_).first(2)); }), Code::kUnavailable) << lie;
  }
  EXPECT_EQ(CodeOf([&] { Open()->Score(ctx_.WithTimeout(-1s), "boots", passages_); }), Code::kDeadlineExceeded);
}

INSTANTIATE_TEST_SUITE_P(Servers, RemoteRerankerContract, testing::Values("cohere", "jina", "tei"), [](const auto& name) { return std::string(name.param); });

TEST(RemoteReranker, RefusesWhatIsNoUrlOfOne) {
  for (const char* url : {"cohere:", "cohere:http://host", "cohere:ftp://host#model", "jina:#model", "tei:", "tei:host:80", "other:model", ""}) EXPECT_EQ(CodeOf([&] { OpenRemoteReranker(url, ""); }), Code::kInvalidArgument) << url;
  EXPECT_EQ(OpenRemoteReranker("cohere:rerank-v3.5", "")->name(), "cohere:rerank-v3.5");
}

}  // namespace
}  // namespace tenfold::models
