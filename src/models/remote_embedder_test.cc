// cohere: and ollama: against a small server of their protocols, written from notes of their wire formats; no real one was asked. It embeds by hashed words, so equal texts have equal vectors,
// refuses every request the references would refuse, and fails on demand. openai: meets a whole Tenfold in app/backends_test.cc and shares all but its protocol with these.
#include "models/remote_embedder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <numeric>

#include "base/http_server.h"
#include "base/testing.h"
#include "models/embedder_url.h"

namespace tenfold::models {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDim = 64;

JsonArray HashedWords(std::string_view text, std::size_t dim) {
  std::vector<double> sums(kDim, 0.01);
  for (std::size_t at = 0; at < text.size();) {
    const auto word = text.substr(at, text.find(' ', at) - at);
    sums[std::hash<std::string_view>()(word) % kDim] += 3;  // not of length 1: that is the client's part
    at += word.size() + 1;
  }
  JsonArray out;
  for (std::size_t i = 0; i < dim; ++i) out.emplace_back(sums[i]);
  return out;
}

class ProtocolServer {
 public:
  ProtocolServer() {
    const auto add = [&](const char* path, auto answer) {
      rows_.push_back({"POST", path, Access::kPublic, 10s, "", [this, answer](const Context&, const HttpRequest& http) { return Answer(http, answer); }});
    };
    add("/v2/embed", [this](const Json& body) { return Cohere(body); });
    add("/api/embed", [this](const Json& body) { return Ollama(body); });
    add("/v1/embeddings", [this](const Json& body) { return OpenAi(body); });
    server_.emplace(HttpServerOptions{}, Router(rows_), [](const HttpRequest&) -> std::shared_ptr<const Principal> { return nullptr; }, metrics_, SystemClock());
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }
  std::vector<Json> requests() {
    const std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }
  std::atomic<int> busy = 0;  ///< so many requests are answered 429
  std::atomic<int> status = 200;
  std::string lie;            ///< if set, the body of every 200

 private:
  HttpResponse Answer(const HttpRequest& http, const std::function<HttpResponse(const Json&)>& answer) {
    if (http.header("authorization") != "Bearer secret") return JsonResponse(JsonObject{{"message", "invalid api token"}}, 401);
    const auto body = ParseJson(http.body);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(body);
    }
    if (busy-- > 0) {
      auto response = JsonResponse(JsonObject{{"message", "slow down"}}, 429);
      response.headers.emplace_back("retry-after", "0");
      return response;
    }
    if (status != 200) return JsonResponse(JsonObject{{"error", "it is broken"}}, status);
    auto response = answer(body);
    if (response.status == 200 && !lie.empty()) response.body = lie;
    return response;
  }
  HttpResponse Cohere(const Json& body) {
    const auto refuse = [](const char* why) { return JsonResponse(JsonObject{{"id", "1"}, {"message", why}}, 400); };
    const auto& type = body.at("input_type").as_string();
    if (type != "search_query" && type != "search_document") return refuse("invalid input_type");
    if (body.at("embedding_types") != JsonArray{"float"}) return refuse("invalid embedding_types");
    if (body.at("texts").as_array().size() > 96) return refuse("at most 96 texts");
    if (body.at("model") != "embed-test") return JsonResponse(JsonObject{{"message", "model 'other' not found"}}, 404);
    JsonArray vectors;
    for (const auto& text : body.at("texts").as_array()) {
      if (text.as_string().empty()) return refuse("texts must not be empty");
      // The input type changes the vector, as it does there.
      vectors.emplace_back(HashedWords(std::string(AsView(text.as_string())) + (type == "search_query" ? " ?" : ""), kDim));
    }
    return JsonResponse(JsonObject{{"id", "1"}, {"embeddings", JsonObject{{"float", vectors}}}, {"texts", body.at("texts")}, {"meta", JsonObject{{"api_version", JsonObject{{"version", "2"}}}}}});
  }
  HttpResponse Ollama(const Json& body) {
    if (body.at("model") != "embed-test") return JsonResponse(JsonObject{{"error", "model \"other\" not found, try pulling it first"}}, 404);
    const auto* asked = body.as_object().if_contains("dimensions");
    const auto dim = asked ? std::min<std::size_t>(kDim, asked->to_number<std::size_t>()) : kDim;
    JsonArray vectors;
    for (const auto& text : body.at("input").as_array()) vectors.emplace_back(HashedWords(AsView(text.as_string()), dim));
    return JsonResponse(JsonObject{{"model", "embed-test"}, {"embeddings", vectors}, {"total_duration", 1}, {"load_duration", 1}, {"prompt_eval_count", 1}});
  }
  HttpResponse OpenAi(const Json& body) {
    if (body.at("model") != "embed-test") return JsonResponse(JsonObject{{"error", JsonObject{{"message", "no such model"}}}}, 404);
    JsonArray data;
    const auto& texts = body.at("input").as_array();
    for (std::size_t i = texts.size(); i-- > 0;) data.emplace_back(JsonObject{{"object", "embedding"}, {"index", i}, {"embedding", HashedWords(AsView(texts[i].as_string()), kDim)}});  // in any order
    return JsonResponse(JsonObject{{"object", "list"}, {"data", data}, {"model", "embed-test"}});
  }

  std::mutex mutex_;
  std::vector<Json> requests_;
  std::vector<Endpoint> rows_;
  Metrics metrics_;
  std::optional<HttpServer> server_;  // last: its threads end first
};

struct Kind {
  const char* name;
  const char* path;
  std::unique_ptr<Embedder> (*open)(const Context&, std::string_view, std::string);
  const char* texts;  ///< the request's field
};

class RemoteEmbedderContract : public testing::TestWithParam<Kind> {
 protected:
  std::unique_ptr<Embedder> Open(const std::string& options = {}, const std::string& model = "embed-test", std::string key = "secret") {
    return GetParam().open(ctx_, std::string(GetParam().name) + ":" + server_.url() + GetParam().path + "#" + model + options, std::move(key));
  }
  std::vector<std::vector<float>> Embed(Embedder& embedder, const std::vector<std::string>& texts, EmbedKind kind = EmbedKind::kPassage) { return embedder.Embed(ctx_, texts, kind); }
  static double Dot(const std::vector<float>& a, const std::vector<float>& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }
  Error Thrown(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& e) {
      return e;
    }
    return Error(Code::kInternal, "nothing was thrown");
  }
  ProtocolServer server_;
  Context ctx_ = Context::System("test").WithTimeout(60s);
};

TEST_P(RemoteEmbedderContract, GivesUnitVectorsInOrderTheSameInAnyBatch) {
  const auto embedder = Open("?batch=2");
  EXPECT_EQ(embedder->dim(), kDim);
  const std::vector<std::string> texts{"boots for rain", "a stove", "", "Grüße, 5 €", "boots for rain"};
  const auto vectors = Embed(*embedder, texts);
  ASSERT_EQ(vectors.size(), texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    EXPECT_NEAR(Dot(vectors[i], vectors[i]), 1, 1e-5);
    EXPECT_EQ(vectors[i], Embed(*embedder, {texts[i]})[0]) << i;
  }
  EXPECT_NE(vectors[0], vectors[1]);
  server_.requests();
  EXPECT_TRUE(Embed(*embedder, {}).empty());
  EXPECT_TRUE(server_.requests().empty());
}

TEST_P(RemoteEmbedderContract, CutsListsAndTextsAtTheirLimits) {
  const auto embedder = Open("?batch=3&batch_tokens=10&max_tokens=8");
  server_.requests();
  Embed(*embedder, {"a", "b", "c", "d", std::string(30, 'x'), std::string(30, 'y'), std::string(31, 'z') + "ü"});
  std::vector<std::size_t> counts;
  for (const auto& request : server_.requests()) {
    std::size_t bytes = 0;
    for (const auto& text : request.at(GetParam().texts).as_array()) bytes += text.as_string().size();
    counts.push_back(request.at(GetParam().texts).as_array().size());
    EXPECT_LE(bytes, 40u);
  }
  EXPECT_EQ(counts, (std::vector<std::size_t>{3, 2, 1, 1}));
  EXPECT_EQ(Embed(*embedder, {std::string(31, 'z') + "ü"}), Embed(*embedder, {std::string(31, 'z')}));  // no half character
}

TEST_P(RemoteEmbedderContract, KeepsTheFirstDimensionsAndPutsPrefixes) {
  const auto whole = Open(), cut = Open("?dim=32"), prefixed = Open("?query_prefix=query:%20&passage_prefix=passage:+");
  EXPECT_EQ(cut->dim(), 32u);
  auto expected = Embed(*whole, {"boots for rain"})[0];
  expected.resize(32);
  ASSERT_TRUE(Normalise(expected));
  EXPECT_NEAR(Dot(Embed(*cut, {"boots for rain"})[0], expected), 1, 1e-5);
  EXPECT_EQ(Embed(*prefixed, {"boots"}), Embed(*whole, {"passage: boots"}));
  EXPECT_EQ(Embed(*prefixed, {"boots"}, EmbedKind::kQuery), Embed(*whole, {"query: boots"}, EmbedKind::kQuery));
  EXPECT_LT(prefixed->max_tokens(), whole->max_tokens());
  EXPECT_NE(whole->name(), cut->name());
  EXPECT_EQ(whole->name(), Open("?batch=7")->name());  // what changes no vector is no part of it
  EXPECT_EQ(Thrown([&] { Open("?dim=65"); }).code(), Code::kInvalidArgument);
}

TEST_P(RemoteEmbedderContract, TriesAgainWhenAskedToAndGivesUpClearly) {
  const auto embedder = Open();
  server_.requests();
  server_.busy = 2;
  EXPECT_EQ(Embed(*embedder, {"boots"}).size(), 1u);
  EXPECT_EQ(server_.requests().size(), 3u);
  server_.busy = 3;
  const auto busy = Thrown([&] { Embed(*embedder, {"boots"}); });
  EXPECT_EQ(busy.code(), Code::kResourceExhausted);
  EXPECT_NE(busy.message().find("slow down"), std::string::npos);
  server_.busy = 0;
  server_.requests();
  server_.status = 422;
  EXPECT_EQ(Thrown([&] { Embed(*embedder, {"boots"}); }).code(), Code::kInvalidArgument);
  EXPECT_EQ(server_.requests().size(), 1u);  // asking again would not help
}

TEST_P(RemoteEmbedderContract, RefusesWhatIsNoListOfVectors) {
  const auto embedder = Open();
  for (const char* lie : {"", "{}", "[]", "not json", R"({"embeddings":[[0,0]],"data":[{"index":0,"embedding":[0,0]}]})", R"({"embeddings":[["a"]],"data":[{"index":7,"embedding":[1]}]})",
                          R"({"embeddings":{"float":[[1,2]]},"data":[{"index":0,"embedding":[1,2]}]})", R"({"embeddings":[[1e39]],"data":[{"index":0,"embedding":[1e300]}]})"}) {
    server_.lie = *lie ? lie : " ";
    EXPECT_EQ(Thrown([&] { Embed(*embedder, {"boots"}); }).code(), Code::kUnavailable) << lie;
  }
}

TEST_P(RemoteEmbedderContract, SaysWhoRefusedAndNeverTheKey) {
  const auto key = Thrown([&] { Open("", "embed-test", "wrong-key"); });
  EXPECT_EQ(key.code(), Code::kUnauthenticated);
  EXPECT_EQ(key.message().find("wrong-key"), std::string::npos);
  EXPECT_EQ(Thrown([&] { Open("", "other"); }).code(), Code::kInvalidArgument);
  EXPECT_EQ(Thrown([&] { Open("?precision=int8"); }).code(), Code::kInvalidArgument);
  const auto embedder = Open();
  const std::vector<std::string> texts{"boots"};
  EXPECT_EQ(Thrown([&] { embedder->Embed(ctx_.WithTimeout(-1s), texts, EmbedKind::kQuery); }).code(), Code::kDeadlineExceeded);
  auto cancellation = std::make_shared<Cancellation>();
  cancellation->Cancel();
  EXPECT_EQ(Thrown([&] { embedder->Embed(ctx_.WithCancellation(cancellation), texts, EmbedKind::kQuery); }).code(), Code::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Protocols, RemoteEmbedderContract,
                         testing::Values(Kind{"openai", "/v1", OpenOpenAiEmbedder, "input"}, Kind{"cohere", "", OpenCohereEmbedder, "texts"}, Kind{"ollama", "", OpenOllamaEmbedder, "input"}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(RemoteEmbedder, TellsCohereQuestionsFromPassages) {
  ProtocolServer server;
  const auto ctx = Context::System("test").WithTimeout(60s);
  const auto embedder = OpenCohereEmbedder(ctx, "cohere:" + server.url() + "#embed-test", "secret");
  const std::vector<std::string> texts{"boots"};
  EXPECT_NE(embedder->Embed(ctx, texts, EmbedKind::kQuery), embedder->Embed(ctx, texts, EmbedKind::kPassage));
  const std::vector<std::string> many(200, "boots");
  server.requests();
  EXPECT_EQ(OpenCohereEmbedder(ctx, "cohere:" + server.url() + "#embed-test?batch=500", "secret")->Embed(ctx, many, EmbedKind::kPassage).size(), 200u);  // its own limit of 96 holds
}

TEST(EmbedderUrl, SplitsOptionsOffAndRefusesWhatItDoesNotKnow) {
  const auto local = ParseEmbedderUrl("all-minilm-l6-v2?precision=fp32&dim=256&query_prefix=q%3A+", false);
  EXPECT_EQ(local.target, "all-minilm-l6-v2");
  EXPECT_EQ(local.options.precision, "fp32");
  EXPECT_EQ(local.options.dim, 256u);
  EXPECT_EQ(local.options.query_prefix, "q: ");
  EXPECT_EQ(ParseEmbedderUrl("openai:https://host/v1?api-version=1#model?dim=8", true).target, "openai:https://host/v1?api-version=1#model");
  for (const char* bad : {"m?dim=0", "m?dim=x", "m?dim=-1", "m?dim=99999999999", "m?colour=red", "m?precision=fp8", "m?batch=4", "m?max_tokens=1", "m?dim"})
    EXPECT_EQ(CodeOf([&] { ParseEmbedderUrl(bad, false); }), Code::kInvalidArgument) << bad;
  EXPECT_EQ(CodeOf([&] { ParseEmbedderUrl("m?query_prefix=" + std::string(2000, 'x'), false); }), Code::kInvalidArgument);
  const auto ctx = Context::System("test");
  for (const char* bad : {"cohere:", "cohere:#m", "ollama:http://host", "ollama:ftp://host#m"}) EXPECT_EQ(CodeOf([&] { OpenCohereEmbedder(ctx, bad, ""); }), Code::kInvalidArgument) << bad;
  EXPECT_EQ(CodeOf([&] { OpenOpenAiEmbedder(ctx, "openai:model", ""); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tenfold::models
