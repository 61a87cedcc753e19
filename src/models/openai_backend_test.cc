#include "models/openai_backend.h"

#include <gtest/gtest.h>

#include "base/answers_testing.h"

namespace tenfold::models {
namespace {

using namespace std::chrono_literals;

GenerateResult Generate(AnsweringServer& server, const std::string& events) {
  server.AnswerWithBodies(events, '\0');
  GenerateRequest request;
  request.messages = {{"user", "hello"}};
  return OpenOpenAiGenerator("openai:" + server.url() + "/v1#m", "key")->Generate(Context::System("test").WithTimeout(20s), request, nullptr);
}

TEST(OpenAiBackend, ReadsTextAndUsageAndPassesOverCountsThatAreNone) {
  AnsweringServer server;
  const std::string text = "data: {\"choices\": [{\"delta\": {\"content\": \"Hello\"}}]}\n\n";
  EXPECT_EQ(Generate(server, text + "data: {\"usage\": {\"prompt_tokens\": 3, \"completion_tokens\": 1}}\n\ndata: [DONE]\n\n").usage.prompt_tokens, 3u);
  for (const char* count : {"-1", "0.5", "1e30", "\"3\"", "null"}) {
    const auto result = Generate(server, text + "data: {\"usage\": {\"prompt_tokens\": " + count + ", \"completion_tokens\": 1}}\n\n");
    EXPECT_EQ(result.text, "Hello") << count;
    EXPECT_EQ(result.usage.prompt_tokens, 0u) << count;
    EXPECT_EQ(result.usage.completion_tokens, 1u) << count;
  }
}

TEST(OpenAiBackend, AnEventThatIsNoJsonIsTheServersFault) {
  AnsweringServer server;
  try {
    Generate(server, "data: {\"choices\"\n\n");
    ADD_FAILURE() << "was read";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::kUnavailable);
  }
}

}  // namespace
}  // namespace tenfold::models
