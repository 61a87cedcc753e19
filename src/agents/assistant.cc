// A turn is one run: guard -> route -> tool or search -> write -> record. What is recorded as a step is what must not be done twice or could come out
// differently the second time (search with generation, effects); guards and routing are functions of the message and are simply computed again.
#include "agents/assistant.h"

#include <re2/re2.h>

#include <algorithm>

#include "agents/writer.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "retrieval/ingest.h"

namespace tenfold::agents {
namespace {

using namespace std::chrono_literals;
constexpr auto kApprovalWait = 24h;

struct TurnInput {
  std::string version;
  std::string chat;
  std::vector<models::ChatMessage> history;
};
TENFOLD_DESCRIBE(TurnInput, (version), (chat), (history))

/// What the step of a knowledge answer records.
struct KnowledgeAnswer {
  std::int64_t commit = 0;
  JsonArray searches;
  JsonArray evidence;
  Written written;
};
TENFOLD_DESCRIBE(KnowledgeAnswer, (commit), (searches), (evidence), (written))

std::string KeyOf(const Principal& user, std::string_view client_id) { return user.user + "/" + std::string(client_id); }

/// "and for boots?" is about what was asked before: such a message is searched for together with the one it follows.
bool FollowsUp(std::string_view text) {
  if (text.size() > 60) return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* start : {"and ", "what about", "how about", "also ", "but ", "what if", "even if", "is that", "does that", "is it", "does it", "for how", "why"})
    if (lower.starts_with(start)) return true;
  return false;
}

/// "How much is express to Austria and until when must I order?" asks twice; each half is searched for and answered by itself.
std::vector<std::string> SplitQuestion(const std::string& text) {
  static const RE2 joint(R"((?i)^(.{12,})[,;.?]?\s+(?:and|also)\s+((?:how|when|what|where|which|who|until|is|are|can|do|does|will)\b.{8,})$)");
  std::string first, second;
  if (text.size() > 400 || !RE2::FullMatch(text, joint, &first, &second)) return {text};
  while (first.ends_with(',') || first.ends_with(' ')) first.pop_back();
  return {first + "?", second};
}

/// One turn at work. Holds what the parts of the answer have in common.
class Turn {
 public:
  Turn(const AssistantParts& parts, workflows::RunContext& run, TurnInput input, ChatTurn turn)
      : parts_(parts), run_(run), input_(std::move(input)), turn_(std::move(turn)), version_(parts.resolve(input_.version)), budget_(MakeBudget(version_.config.limits)),
        ctx_(run.ctx().WithTimeout(std::chrono::seconds(version_.config.limits.seconds)).WithBudget(budget_)),
        guards_(parts.guards.BeginTurn(version_.config.guards)) {
    answer_.id = run.id();
    answer_.user = ctx_.principal().user;
    answer_.chat = turn_.chat;
    answer_.version = version_.id;
    answer_.asked_us = turn_.asked_us;
    answer_.sources = answer_.tools = answer_.verdicts = answer_.sentences = JsonArray{};
  }

  Json Run() {
    run_.Emit("started", JsonObject{{"answer", run_.id()}, {"version", version_.id}});
    GuardedInput guarded;
    {
      const auto guarding = ctx_.Child("guard input");
      guarded = guards_->CheckInput(turn_.question);
    }
    answer_.question = guarded.text;
    for (auto& finding : guarded.findings) answer_.verdicts.get_array().push_back(JsonObject{{"name", "input guard"}, {"verdict", guarded.refused ? "refused" : "noted"}, {"detail", finding}});
    if (guarded.refused) {
      Say("I can't act on a message like that. Ask me about our products, your orders or our policies and I will help.", "refused_input", true);
      return Record();
    }
    Route route;
    {
      const auto routing = ctx_.Child("route");
      route = parts_.router.Decide(routing, turn_.question, version_.config.tools);
      AcceptsOfferedPerson(route);
      routing.span().Set("tool", boost::json::string(route.tool));
    }
    answer_.route = route.tool;
    answer_.verdicts.get_array().push_back(JsonObject{{"name", "route"}, {"verdict", route.tool}, {"detail", route.reason}});
    if (route.tool == "small_talk") Say(version_.config.prompt.greeting, route.tool, false);
    else if (route.tool == "search_knowledge") AnswerFromKnowledge(guarded.text);
    else UseTool(route);
    return Record();
  }

 private:
  /// "Shall I get a person?" – "yes": the ticket is about what was asked before.
  void AcceptsOfferedPerson(Route& route) const {
    if (input_.history.size() < 2 || input_.history.back().role != "assistant" || input_.history.back().content.find("Shall I get a person") == std::string::npos) return;
    std::string lower(turn_.question.substr(0, 40));
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool yes = lower.starts_with("yes") || lower.starts_with("ok") || lower.starts_with("sure") || lower.starts_with("please") || lower.starts_with("yep");
    const auto& enabled = version_.config.tools;
    if (!yes || std::find(enabled.begin(), enabled.end(), "open_ticket") == enabled.end()) return;
    for (auto before = input_.history.rbegin(); before != input_.history.rend(); ++before)
      if (before->role == "user")
        for (const auto& tool : parts_.tools)
          if (tool.name == "open_ticket") {
            route = {tool.name, tool.fill(before->content), "the offer of a person was accepted"};
            return;
          }
  }

  void AnswerFromKnowledge(const std::string& question) {
    run_.Emit("stage", JsonObject{{"stage", "searching"}});
    std::string query = question;
    if (FollowsUp(question))
      for (auto before = input_.history.rbegin(); before != input_.history.rend(); ++before)
        if (before->role == "user") {
          query = std::string(CutUtf8(guards_->Mask(before->content), 500)) + "\n" + question;
          break;
        }
    const auto questions = query == question ? SplitQuestion(question) : std::vector{question};
    // Search and writing are one recorded step: what is read and what is said of it belong together.
    const auto step = run_.Step("answer_from_knowledge", {.timeout = std::chrono::seconds(version_.config.limits.seconds), .input = JsonObject{{"queries", ToJson(questions)}}, .only_reads = true}, [&](const Context& ctx) {
      return ToJson(SearchAndWrite(ctx.WithBudget(budget_), question, questions, query == question ? std::string() : query));
    });
    const auto result = FromJson<KnowledgeAnswer>(step, Unknown::kIgnore);
    answer_.commit = result.commit;
    for (const auto& search : result.searches) answer_.tools.get_array().push_back(search);
    for (const auto& verdict : result.evidence) answer_.verdicts.get_array().push_back(verdict);
    const auto& written = result.written;
    if (written.refused) {
      Say(version_.config.prompt.refuse_text, "search_knowledge", true);
    } else {
      answer_.text = written.text;
      answer_.grounding = written.grounding;
    }
    answer_.sources = written.sources;
    answer_.sentences = written.sentences;
    answer_.model = written.model;
    answer_.prompt_tokens = written.usage.prompt_tokens;
    answer_.cached_tokens = written.usage.cached_tokens;
    answer_.completion_tokens = written.usage.completion_tokens;
    for (const auto& verdict : written.verdicts) answer_.verdicts.get_array().push_back(verdict);
    answer_.cost_micro_usd = models::CostOf(version_.config.model.price, written.usage);
  }

  KnowledgeAnswer SearchAndWrite(const Context& ctx, const std::string& message, const std::vector<std::string>& questions, const std::string& follow_up) {
    const auto& config = version_.config;
    KnowledgeAnswer out;
    std::vector<WriterPart> parts;
    retrieval::RetrieveOptions options{config.retrieval.passages, std::nullopt, true, config.retrieval.synonyms, questions.size() == 1, {}};
    for (const auto& one : questions) {
      // A follow-up, and the second half of a question, seldom name again what they are about: passages are found by the whole, sentences chosen by the half.
      const auto& searched = !follow_up.empty() ? follow_up : &one == questions.data() ? one : message;
      options.focus = searched == one ? std::string() : one;
      const auto searching = ctx.Child("search_knowledge");
      parts.push_back({one, follow_up, parts_.retriever.Retrieve(searching, searched, options)});
    }
    for (const auto& part : parts) {
      const auto& found = part.found;
      out.commit = found.commit;
      out.searches.push_back(JsonObject{{"name", "search_knowledge"}, {"input", JsonObject{{"query", part.question}}}, {"output", JsonObject{{"passages", static_cast<std::int64_t>(found.passages.size())}, {"support", found.support}}}});
      out.evidence.push_back(JsonObject{{"name", "evidence"}, {"verdict", found.support >= config.retrieval.min_support ? "enough" : "not enough"}, {"score", found.support},
                                        {"detail", JsonObject{{"needed", config.retrieval.min_support}, {"passage_cosine", found.passage_cosine}, {"sentence_cosine", found.sentence_cosine}, {"coverage", found.coverage}}}});
    }
    std::erase_if(parts, [&](const WriterPart& part) { return part.found.support < config.retrieval.min_support; });
    if (parts.empty()) {
      out.written.refused = true;
      return out;
    }
    run_.Emit("stage", JsonObject{{"stage", "writing"}});
    Writer writer({config, *guards_, parts});
    writer.on_source = [&](const Json& source) { run_.Emit("source", source); };
    writer.on_support = [&](const Json& support) { run_.Emit("support", support); };
    writer.on_text = [&](const std::string& text) { EmitText(text); };
    const auto generator = parts_.generator(config.model.generator);
    const auto writing = ctx.Child("generate");
    out.written = writer.Write(writing, generator.get());
    return out;
  }

  void UseTool(const Route& route) {
    const auto tool = std::find_if(parts_.tools.begin(), parts_.tools.end(), [&](const Tool& t) { return t.name == route.tool; });
    TENFOLD_CHECK(tool != parts_.tools.end());
    budget_->SpendStep();
    const std::string call = "call_1";
    run_.Emit("tool_call", JsonObject{{"call", call}, {"name", tool->name}, {"input", route.arguments}});
    JsonObject pedigree{{"name", tool->name}, {"input", route.arguments}};
    Json output;
    if (!tool->is_effect()) {
      output = run_.Step(tool->name, {.timeout = 5s, .input = route.arguments, .only_reads = true}, [&](const Context& ctx) { return tool->read(ctx, route.arguments); });
    } else {
      run_.Emit("approval_asked", JsonObject{{"call", call}, {"approval", run_.id() + "/" + call}, {"name", tool->name}, {"input", route.arguments}});
      const auto decision = run_.WaitFor(Assistant::kApproval, ctx_.clock().Now() + kApprovalWait);
      const bool approved = decision.is_object() && decision.get_object().contains("approved") && decision.get_object().at("approved").is_bool() && decision.get_object().at("approved").get_bool();
      pedigree["approved"] = approved;
      if (!approved) {
        run_.Emit("tool_denied", JsonObject{{"call", call}});
        answer_.tools.get_array().push_back(std::move(pedigree));
        Say(decision.is_null() ? "Nobody confirmed, so I did nothing." : "All right, I have not done it. Is there anything else?", tool->name, false);
        return;
      }
      output = run_.StepInStore(tool->name, route.arguments, [&](data::WriteTx& tx) { return tool->act(tx, ctx_, route.arguments); });
    }
    run_.Emit("tool_result", JsonObject{{"call", call}, {"output", output}});
    pedigree["output"] = output;
    answer_.tools.get_array().push_back(std::move(pedigree));
    const bool nothing = output.is_object() && output.get_object().contains("found") && output.get_object().at("found").is_bool() && !output.get_object().at("found").get_bool();
    Say(tool->say(output), tool->name, nothing);
  }

  void EmitText(const std::string& text) {
    if (!answer_.ttft_us) answer_.ttft_us = ToMicros(ctx_.clock().Now()) - turn_.asked_us;
    run_.Emit("token", JsonObject{{"text", text}});
  }

  void Say(const std::string& text, std::string_view route, bool refused) {
    answer_.route = route;
    answer_.text = text;
    answer_.refused = refused;
    EmitText(text);
  }

  Json Record() {
    answer_.total_us = ToMicros(ctx_.clock().Now()) - turn_.asked_us;
    run_.Emit("verdict", JsonObject{{"grounding", answer_.grounding}, {"refused", answer_.refused}});
    run_.Emit("finished", JsonObject{{"answer", answer_.id}, {"version", answer_.version}, {"refused", answer_.refused}, {"grounding", answer_.grounding}, {"model", answer_.model},
                                     {"prompt_tokens", answer_.prompt_tokens}, {"cached_tokens", answer_.cached_tokens}, {"completion_tokens", answer_.completion_tokens}, {"cost_micro_usd", answer_.cost_micro_usd},
                                     {"ttft_us", answer_.ttft_us}, {"total_us", answer_.total_us}});
    const auto masked = guards_->Mask(answer_.text);
    auto stored = answer_;
    stored.text = masked;
    run_.AtEnd([stored](data::WriteTx& tx) {
      monitoring::PutAnswer(tx, stored);
      for (const auto& source : stored.sources.get_array())
        tx.Put(retrieval::LineageEdge{"answered/" + stored.id + "/" + ToText(source.get_object().at("number")), std::string(AsView(source.get_object().at("document").get_object().at("id").get_string())), stored.id,
                                      "answered", stored.id});
    });
    monitoring::CountAnswer(parts_.metrics, answer_);
    return JsonObject{{"answer", answer_.id}, {"text", answer_.text}, {"refused", answer_.refused}};
  }

  static std::shared_ptr<Budget> MakeBudget(const LimitConfig& limits) {
    return std::make_shared<Budget>(Budget::Limits{limits.steps, limits.tokens, static_cast<std::int64_t>(limits.usd * 1e6)});
  }

  const AssistantParts& parts_;
  workflows::RunContext& run_;
  const TurnInput input_;
  const ChatTurn turn_;
  const AssistantVersion version_;
  const std::shared_ptr<Budget> budget_;
  const Context ctx_;
  const std::unique_ptr<TurnGuards> guards_;
  monitoring::Answer answer_;
};

}  // namespace

Assistant::Assistant(AssistantParts parts) : parts_(std::move(parts)) {
  parts_.runs.Register(std::string(kRunKind), [this](workflows::RunContext& run) { return Answer(run); });
}

std::vector<data::Table> Assistant::Tables() { return {data::TableOf<Chat>(), data::TableOf<ChatTurn>()}; }

Json Assistant::Answer(workflows::RunContext& run) {
  auto turn = run.memo().is_null() ? parts_.store.Read(run.ctx(), [&](data::ReadTx& tx) { return tx.Get<ChatTurn>(run.id()); }) : FromJson<ChatTurn>(run.memo());
  if (!turn) throw Error(Code::kCancelled, "the chat was deleted");
  turn->id = run.id();
  return Turn(parts_, run, FromJson<TurnInput>(run.input(), Unknown::kIgnore), std::move(*turn)).Run();
}

std::string Assistant::Ask(const Context& ctx, const Question& question) {
  if (question.text.find_first_not_of(" \t\r\n") == std::string::npos) throw Error(Code::kInvalidArgument, "the message is empty", "messages");
  if (question.text.size() > kMaxQuestionBytes)
    throw Error(Code::kInvalidArgument, "the message has " + std::to_string(question.text.size()) + " bytes, limit " + std::to_string(kMaxQuestionBytes) + "; shorten it", "messages");
  if (!IsUtf8(question.text)) throw Error(Code::kInvalidArgument, "the message is not UTF-8", "messages");
  if (question.chat.size() > 128) throw Error(Code::kInvalidArgument, "id: has more than 128 bytes", "id");
  const auto version = parts_.resolve(question.version).id;
  const auto& user = ctx.principal();
  const auto now = ToMicros(ctx.clock().Now());
  const auto client_id = question.chat.empty() ? NewId("chat", ctx.clock()) : question.chat;
  auto title = question.text.substr(0, question.text.find('\n'));
  if (title.size() > 60) title = std::string(CutUtf8(title, 57)) + "…";
  // The newest messages matter; what is older is left out, not refused.
  TurnInput input{version, KeyOf(user, client_id), {}};
  const std::size_t skip = question.history.size() > 8 ? question.history.size() - 8 : 0;
  for (std::size_t i = skip; i < question.history.size(); ++i) input.history.push_back({question.history[i].role, std::string(CutUtf8(question.history[i].content, 2000))});
  workflows::RunSpec spec{std::string(kRunKind), ToJson(input), "", {}, nullptr};
  spec.also = [&](data::WriteTx& tx, const std::string& run) {
    auto chat = tx.Get<Chat>(input.chat).value_or(Chat{input.chat, user.user, client_id, title, now, now});
    chat.updated_us = now;
    tx.Put(chat);
    tx.Put(ChatTurn{run, chat.id, question.text, now});
  };
  spec.memo = ToJson(ChatTurn{"", input.chat, question.text, now});
  return parts_.runs.Start(ctx, spec);
}

void Assistant::Approve(const Context& ctx, std::string_view run, bool approved) {
  parts_.runs.Signal(ctx, run, kApproval, JsonObject{{"approved", approved}});
}

std::vector<Chat> Assistant::ListChats(const Context& ctx) {
  auto chats = parts_.store.Read(ctx, [&](data::ReadTx& tx) { return tx.Find<Chat>(data::Where("user", ctx.principal().user)); });
  std::sort(chats.begin(), chats.end(), [](const Chat& a, const Chat& b) { return a.updated_us > b.updated_us; });
  return chats;
}

std::optional<std::pair<Chat, std::vector<ChatTurn>>> Assistant::FindChat(const Context& ctx, std::string_view client_id) {
  return parts_.store.Read(ctx, [&](data::ReadTx& tx) -> std::optional<std::pair<Chat, std::vector<ChatTurn>>> {
    auto chat = tx.Get<Chat>(KeyOf(ctx.principal(), client_id));
    if (!chat) return std::nullopt;
    auto turns = tx.Find<ChatTurn>(data::Where("chat", chat->id));
    std::sort(turns.begin(), turns.end(), [](const ChatTurn& a, const ChatTurn& b) { return a.asked_us != b.asked_us ? a.asked_us < b.asked_us : a.id < b.id; });
    return std::pair(std::move(*chat), std::move(turns));
  });
}

void Assistant::DeleteChat(const Context& ctx, std::string_view client_id) {
  bool found = false;
  parts_.store.Write(ctx, [&](data::WriteTx& tx) {
    const auto id = KeyOf(ctx.principal(), client_id);
    for (const auto& turn : tx.Find<ChatTurn>(data::Where("chat", id))) {
      tx.Delete<workflows::Run>(turn.id);
      tx.Delete<monitoring::Answer>(turn.id);
    }
    found = tx.Delete<Chat>(id);
  });
  if (!found) throw Error(Code::kNotFound, "there is no such chat", "id");
}

}  // namespace tenfold::agents
