#include "interface/ui_message.h"

#include <gtest/gtest.h>

namespace tenfold::interface {
namespace {

workflows::RunEvent Event(std::string type, std::string_view json) { return {"", "run_1", 1, std::move(type), 0, ParseJson(json)}; }

const char* kSource = R"({"number":1,"document":{"id":"d","uri":"a.md","title":"A"},"span":[0,4],"quote":"text"})";
const char* kFinished = R"({"answer":"run_1","version":"v","refused":false,"grounding":1,"model":"m","prompt_tokens":1,"cached_tokens":0,"completion_tokens":1,"ttft_us":5,"total_us":9})";

std::string Types(const std::vector<Json>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : " ") + std::string(AsView(part.get_object().at("type").get_string()));
  return out;
}

TEST(UiStream, OpensAndClosesEveryTextPart) {
  UiStream stream("run_1");
  std::vector<Json> parts;
  for (const auto& event : {Event("started", R"({"answer":"run_1","version":"v"})"), Event("source", kSource), Event("token", R"({"text":"Hello"})"), Event("token", R"({"text":" there"})"),
                            Event("verdict", R"({"grounding":1,"refused":false})"), Event("finished", kFinished)})
    for (auto& part : stream.Take(event)) parts.push_back(std::move(part));
  EXPECT_EQ(Types(parts), "start start-step data-citation source-document text-start text-delta text-delta text-end data-verdict finish-step finish");
  EXPECT_TRUE(stream.End(workflows::RunState::kFinished, "").empty());
}

TEST(UiStream, AWaitEndsTheStreamAndTheRestFollowsUnderTheSameMessage) {
  UiStream first("run_1");
  std::vector<Json> parts;
  for (const auto& event : {Event("started", R"({"version":"v"})"), Event("tool_call", R"({"call":"call_1","name":"open_ticket","input":{}})"), Event("approval_asked", R"({"call":"call_1","approval":"run_1/call_1"})")})
    for (auto& part : first.Take(event)) parts.push_back(std::move(part));
  for (auto& part : first.End(workflows::RunState::kWaiting, "")) parts.push_back(std::move(part));
  EXPECT_EQ(Types(parts), "start start-step tool-input-available tool-approval-request finish-step finish");
  UiStream second("run_1");
  const auto rest = second.Take(Event("tool_result", R"({"call":"call_1","output":{"ok":true}})"));
  EXPECT_EQ(Types(rest), "start start-step tool-output-available");
  EXPECT_EQ(rest[0].at("messageId"), "run_1");
}

TEST(UiStream, AFailureIsSaidAndAStopIsAnAbort) {
  UiStream failed("run_1");
  failed.Take(Event("token", R"({"text":"Hel"})"));
  EXPECT_EQ(Types(failed.End(workflows::RunState::kFailed, "the model broke")), "text-end error");
  UiStream stopped("run_1");
  stopped.Take(Event("token", R"({"text":"Hel"})"));
  EXPECT_EQ(Types(stopped.End(workflows::RunState::kCancelled, "")), "text-end finish-step abort");
}

TEST(UiMessage, IsWhatTheStreamLeavesBehind) {
  const auto message = UiMessageOf("run_1", {Event("started", "{}"), Event("tool_call", R"({"call":"c","name":"open_ticket","input":{"subject":"s"}})"), Event("approval_asked", R"({"call":"c","approval":"run_1/c"})"),
                                             Event("tool_result", R"({"call":"c","output":{"ticket":1}})"), Event("token", R"({"text":"One."})"), Event("source", kSource), Event("support", R"({"number":1,"span":[0,4]})"), Event("token", R"({"text":" Two. [1]"})"), Event("finished", kFinished)});
  const auto& parts = message.at("parts").as_array();
  ASSERT_EQ(parts.size(), 5u);
  EXPECT_EQ(parts[1].at("state"), "output-available");
  EXPECT_EQ(parts[1].at("approval").at("approved"), true);
  EXPECT_EQ(parts[2].at("type"), "data-citation");
  EXPECT_EQ(parts[3].at("type"), "data-support");
  EXPECT_EQ(parts[3].at("id"), "support-1");
  EXPECT_EQ(parts[4].at("text"), "One. Two. [1]");
  EXPECT_EQ(message.at("metadata").at("total_us"), 9);
}

}  // namespace
}  // namespace tenfold::interface
