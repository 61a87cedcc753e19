// The contracts of Generator and Embedder, held by every back end that a URL can choose. A new back end adds one line to the lists below.
#include "app/backends.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <thread>

#include "app/endpoints.h"
#include "app/services.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/testing.h"

namespace tenfold::app {
namespace {

using namespace std::chrono_literals;
constexpr const char* kGenerator = "smollm2-135m-instruct";
constexpr const char* kEmbedder = "all-minilm-l6-v2";

/// A whole server with small models: what the remote back ends talk to.
class Serving {
 public:
  Serving() : services_(folder_.path() / "home", MakeSettings(), WithModels::kYes) {
    services_.FindGenerator(kGenerator);
    const auto system = Context::System("test");
    services_.accounts->AddUser(system, {"a@example.com", "A", "customer", "", "", 0});
    ::setenv("TENFOLD_OPENAI_API_KEY", services_.accounts->CreateKey(system, "a@example.com", "").c_str(), 1);
    server_.emplace(HttpServerOptions{}, Router(MakeEndpoints(services_)), [this](const HttpRequest& request) { return services_.accounts->Authenticate(request); }, services_.metrics, services_.clock);
  }
  static Settings MakeSettings() {
    Settings settings;
    settings.models.generator = kGenerator;
    settings.models.context_tokens = 1024;
    return settings;
  }
  std::string Url(std::string_view model) const { return "openai:http://127.0.0.1:" + std::to_string(server_->port()) + "/v1#" + std::string(model); }

 private:
  TemporaryFolder folder_;
  Services services_;
  std::optional<HttpServer> server_;
};

std::unique_ptr<Serving> serving;

class Environment : public testing::Environment {
 public:
  void SetUp() override {
    for (const auto* file : {"smollm2-135m-instruct/model.gguf", "all-minilm-l6-v2/model.safetensors"})
      if (!std::filesystem::exists(CacheFolder() / "models" / file)) return;
    try {
      serving = std::make_unique<Serving>();
    } catch (const Error& e) {
      if (e.code() != Code::kUnimplemented) throw;  // built without llama.cpp
    }
  }
  void TearDown() override { serving.reset(); }
};
[[maybe_unused]] auto* const kEnvironment = testing::AddGlobalTestEnvironment(new Environment);

/// A back end may be followed by an embedder's options.
std::string UrlOf(std::string_view backend, const char* model) {
  const auto options = std::string(backend.substr(std::min(backend.size(), backend.find('?'))));
  return (backend.starts_with("openai") ? serving->Url(model) : model) + options;
}

class GeneratorContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!serving) GTEST_SKIP() << "run: make models";
    generator_ = OpenGenerator(UrlOf(GetParam(), kGenerator), CacheFolder() / "models", Serving::MakeSettings().models);
  }
  static models::GenerateRequest Ask(std::string text, std::uint32_t max_tokens = 40) {
    models::GenerateRequest request;
    request.messages = {{"system", "You are the assistant of a shop that sells tents."}, {"user", std::move(text)}};
    request.max_tokens = max_tokens;
    return request;
  }
  models::GenerateResult Say(const models::GenerateRequest& request) { return generator_->Generate(ctx_, request, {}); }
  std::unique_ptr<models::Generator> generator_;
  Context ctx_ = Context::System("test");
};

TEST_P(GeneratorContract, StreamsTheWholeTextInWholeCharacters) {
  std::string streamed;
  const auto result = generator_->Generate(ctx_, Ask("Say: Grüße aus München, 5 €."), [&](std::string_view piece) {
    EXPECT_TRUE(IsUtf8(piece));
    streamed += piece;
  });
  EXPECT_EQ(streamed, result.text);
  EXPECT_FALSE(result.text.empty());
  EXPECT_GT(result.usage.prompt_tokens, 10u);
  EXPECT_GT(result.usage.completion_tokens, 0u);
  EXPECT_GT(result.usage.ttft_us, 0);
  EXPECT_GE(result.usage.total_us, result.usage.ttft_us);
}

TEST_P(GeneratorContract, SaysTheSameEachTimeAtTemperatureZero) { EXPECT_EQ(Say(Ask("What is a tent?")).text, Say(Ask("What is a tent?")).text); }

TEST_P(GeneratorContract, EndsAtItsTokenLimitAndSaysSo) {
  const auto result = Say(Ask("Tell me a long story.", 5));
  EXPECT_LE(result.usage.completion_tokens, 5u);
  EXPECT_EQ(result.finish_reason, "length");
}

TEST_P(GeneratorContract, EndsBeforeAStopString) {
  auto request = Ask("Count from one to ten in words, separated by commas.");
  const auto whole = Say(request).text;
  ASSERT_GT(whole.size(), 12u);
  request.stop = {whole.substr(5, 4)};
  const auto result = Say(request);
  EXPECT_EQ(result.text, whole.substr(0, whole.find(request.stop[0])));
  EXPECT_EQ(result.finish_reason, "stop");
}

TEST_P(GeneratorContract, ASchemaBindsWhatIsWritten) {
  auto request = Ask("Give me a product with its price.", 80);
  request.schema = ParseJson(R"({"type":"object","properties":{"product":{"type":"string","maxLength":20},"price":{"type":"integer"}},"required":["product","price"],"additionalProperties":false})");
  const auto result = Say(request);
  EXPECT_TRUE(ParseJson(result.text).at("price").is_int64()) << result.text;
}

TEST_P(GeneratorContract, RefusesWhatItCannotDoByName) {
  EXPECT_EQ(CodeOf([&] { Say({}); }), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf([&] { Say(Ask(std::string(20'000, 'a') + " end")); }), Code::kInvalidArgument);
}

TEST_P(GeneratorContract, StopsWhenItsCallerDoes) {
  EXPECT_EQ(CodeOf([&] { generator_->Generate(ctx_.WithTimeout(-1s), Ask("hello"), {}); }), Code::kDeadlineExceeded);
  auto cancellation = std::make_shared<Cancellation>();
  EXPECT_EQ(CodeOf([&] { generator_->Generate(ctx_.WithCancellation(cancellation), Ask("Tell me a very long story.", 500), [&](std::string_view) { cancellation->Cancel(); }); }), Code::kCancelled);
  EXPECT_EQ(CodeOf([&] { generator_->Generate(ctx_, Ask("Tell me a very long story.", 500), [](std::string_view) { throw Error(Code::kAborted, "enough"); }); }), Code::kAborted);
  EXPECT_FALSE(Say(Ask("hello", 5)).text.empty());  // and the next request is served
}

INSTANTIATE_TEST_SUITE_P(Backends, GeneratorContract, testing::Values("catalog", "openai"), [](const auto& tested) { return tested.param; });

class EmbedderContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!serving) GTEST_SKIP() << "run: make models";
    embedder_ = OpenEmbedder(UrlOf(GetParam(), kEmbedder), CacheFolder() / "models", {});
  }
  std::vector<std::vector<float>> Embed(const std::vector<std::string>& texts) { return embedder_->Embed(ctx_, texts, models::EmbedKind::kPassage); }
  static double Dot(const std::vector<float>& a, const std::vector<float>& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }
  std::unique_ptr<models::Embedder> embedder_;
  Context ctx_ = Context::System("test");
};

TEST_P(EmbedderContract, GivesVectorsOfLengthOneInOrder) {
  const std::vector<std::string> texts{"Boots for rain", "A stove", "", std::string(20'000, 'x'), "Grüße, 5 €"};
  const auto vectors = Embed(texts);
  ASSERT_EQ(vectors.size(), texts.size());
  for (const auto& vector : vectors) {
    EXPECT_EQ(vector.size(), embedder_->dim());
    EXPECT_NEAR(Dot(vector, vector), 1, 1e-4);
  }
  EXPECT_TRUE(Embed({}).empty());
}

TEST_P(EmbedderContract, GivesATextTheSameVectorInAnyBatch) {
  const auto together = Embed({"one", "a longer text about boots and rain", "one"}), alone = Embed({"one"});
  EXPECT_NEAR(Dot(together[0], alone[0]), 1, 1e-6);
  EXPECT_NEAR(Dot(together[0], together[2]), 1, 1e-6);
}

TEST_P(EmbedderContract, KeepsWhatIsNearNear) {
  const auto vectors = Embed({"How do I return a tent?", "Sending a tent back", "The moon is far away"});
  EXPECT_GT(Dot(vectors[0], vectors[1]), Dot(vectors[0], vectors[2]) + 0.2);
}

TEST_P(EmbedderContract, StopsWhenItsCallerDoes) {
  const std::vector<std::string> texts{"some text nobody has asked for"};
  EXPECT_EQ(CodeOf([&] { embedder_->Embed(ctx_.WithTimeout(-1s), texts, models::EmbedKind::kPassage); }), Code::kDeadlineExceeded);
}

// cohere: and ollama: hold the same in models/remote_embedder_test.cc, against servers of their protocols.
INSTANTIATE_TEST_SUITE_P(Backends, EmbedderContract,
                         testing::Values("catalog", "openai", "catalog?precision=fp32", "catalog?precision=int8", "catalog?dim=128&precision=int8&query_prefix=query:%20", "openai?dim=128&batch=2"), [](const auto& tested) {
                           std::string name;
                           for (const char c : std::string_view(tested.param))
                             if (std::isalnum(static_cast<unsigned char>(c))) name += c;
                           return name;
                         });

TEST(Backends, AWrongSchemeNamesThoseThereAre) {
  const TemporaryFolder folder;
  const auto message = [&](const std::function<void()>& open) {
    try {
      open();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::kInvalidArgument);
      return e.message();
    }
    return std::string();
  };
  EXPECT_NE(message([&] { OpenStore("postgres://x", folder.path(), {}); }).find("sqlite"), std::string::npos);
  EXPECT_NE(message([&] { OpenObjectStore("s3://x", folder.path()); }).find("file"), std::string::npos);
  EXPECT_NE(message([&] { OpenSource("s4://x", {}); }).find("folder"), std::string::npos);
  EXPECT_NE(message([&] { OpenGenerator("vllm:x", folder.path(), {}); }).find("openai"), std::string::npos);
  EXPECT_NE(message([&] { OpenEmbedder("tei:x", folder.path(), {}); }).find("openai"), std::string::npos);
  EXPECT_EQ(CodeOf([&] { OpenGenerator("smollm2-135m-instruct", folder.path(), {}); }), Code::kNotFound);
}

}  // namespace
}  // namespace tenfold::app
