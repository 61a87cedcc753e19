#include "app/example.h"

#include <thread>

#include "app/yaml.h"
#include "base/files.h"
#include "data/records.h"
#include "security/password.h"

namespace tenfold::app {
namespace {

struct SampleUser {
  std::string email;
  std::string name;
  std::string role;
  std::string customer;
  std::string demo_password;
};
TENFOLD_DESCRIBE(SampleUser, (email, Required{}), (name), (role, Required{}), (customer), (demo_password))

struct SampleAssistant {
  std::string name;
  std::string greeting;
  std::vector<std::string> suggestions;
  std::string system_prompt;
  std::string refuse_text;
  std::vector<std::string> synonyms;
};
TENFOLD_DESCRIBE(SampleAssistant, (name, Required{}), (greeting, Required{}), (suggestions), (system_prompt, Required{}), (refuse_text, Required{}), (synonyms))

std::filesystem::path FindSample(std::string_view name) {
  std::string known;
  for (const auto& folder : {ProgramFolder() / "examples", ProgramFolder().parent_path() / "examples", ProgramFolder().parent_path().parent_path().parent_path() / "examples"}) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      if (!at->is_directory()) continue;
      if (at->path().filename() == std::filesystem::path(name)) return at->path();
      known += (known.empty() ? "" : ", ") + at->path().filename().string();
    }
  }
  throw Error(Code::kNotFound, "there is no sample '" + std::string(name) + "'; " + (known.empty() ? "this program has none beside it" : "there are: " + known), "example");
}

/// One list at the top of a YAML file.
std::vector<SampleUser> LoadUsers(const std::filesystem::path& file) {
  const auto yaml = ReadYaml(file);
  try {
    if (yaml.value.is_object() && yaml.value.get_object().contains("users")) return FromJson<std::vector<SampleUser>>(yaml.value.get_object().at("users"));
    return FromJson<std::vector<SampleUser>>(yaml.value);
  } catch (const Error& e) {
    RethrowWithLine(e, file, yaml);
  }
}

constexpr std::string_view kMark = "samples/";

}  // namespace

retrieval::IngestReport RunIngest(Services& on, const Context& ctx, const retrieval::IngestRequest& request, const std::function<void(std::string_view)>& say) {
  const auto run = on.runs->Start(ctx, {"ingest", ToJson(request), ""});
  for (std::int64_t seen = 0;;) {
    const auto batch = on.runs->Events(ctx, run, seen, std::chrono::milliseconds(500));
    for (const auto& event : batch.events) {
      seen = event.number;
      if (event.type != "stage") continue;
      const auto& stage = event.data.get_object();
      const auto& total = stage.at("total");
      say("[" + ToText(stage.at("done")) + "/" + (total.is_null() ? "?" : ToText(total)) + "] " + std::string(AsView(stage.at("path").get_string())) + "\n");
    }
    if (!batch.events.empty()) continue;
    const auto state = on.runs->Get(ctx, run);
    // A long one rests now and then, and goes on by itself.
    if (state && state->state == workflows::RunState::kWaiting) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    if (!state || state->state == workflows::RunState::kQueued || state->state == workflows::RunState::kRunning || state->state == workflows::RunState::kWaiting) continue;
    if (state->state != workflows::RunState::kFinished) throw Error(Code::kFailedPrecondition, state->error.empty() ? "the run was cancelled" : state->error);
    return FromJson<retrieval::IngestReport>(state->output);
  }
}

void LoadExample(Services& on, std::string_view name, const std::function<void(std::string_view)>& say) {
  const auto folder = FindSample(name);
  const auto system = Context::System("example");
  const auto mark = std::string(kMark) + std::string(name);
  if (on.store->Read(system, [&](data::ReadTx& tx) { return tx.Get<data::Record>(mark).has_value(); })) return;
  say("loading the sample '" + std::string(name) + "'\n");
  const auto users = LoadUsers(folder / "users.yaml");
  // Demonstration passwords are public; one hash for each of them, not for each user, keeps the first start short.
  std::map<std::string, std::string> hashes;
  for (const auto& user : users)
    if (!user.demo_password.empty() && !hashes.contains(user.demo_password)) hashes[user.demo_password] = security::HashPassword(user.demo_password);
  for (const auto& user : users) {
    try {
      on.accounts->AddUser(system, {user.email, user.name, user.role, user.customer, user.demo_password.empty() ? "" : hashes.at(user.demo_password), 0});
    } catch (const Error& e) {
      if (e.code() != Code::kAlreadyExists) throw;  // a start that was cut short goes on
    }
  }
  const auto words = LoadYaml<SampleAssistant>(folder / "assistant.yaml");
  agents::AssistantConfig config = on.registry->Resolve(registry::kLive)->config;
  config.prompt = {words.name, words.greeting, words.suggestions, words.system_prompt, words.refuse_text};
  config.retrieval.synonyms = words.synonyms;
  const auto version = on.registry->Put(system, config, "the sample '" + std::string(name) + "'");
  if (on.registry->Resolve(registry::kLive)->version != version) on.registry->Promote(system, registry::kLive, version, "the sample was loaded");
  const auto report = RunIngest(on, system, {.url = "folder:" + (folder / "help").string(), .label = "public"}, say);
  for (const auto& problem : report.problems) say("left out " + problem.path + ": " + problem.problem + "\n");
  // Records and the mark last, in one commit: with the mark, everything is there.
  on.store->Write(system, [&](data::WriteTx& tx) {
    data::ImportCsv(tx, ReadFile(folder / "customers.csv"), "customers", {"id"}, "id");
    data::ImportCsv(tx, ReadFile(folder / "orders.csv"), "orders", {"id"}, "customer");
    std::map<std::string, std::string> owner;
    for (const auto& order : tx.Find<data::Record>(data::Where("collection", "orders"))) owner[order.key] = order.owner;
    data::ImportCsv(tx, ReadFile(folder / "order_items.csv"), "order_items", {"order", "line"}, "");
    for (auto& item : tx.Find<data::Record>(data::Where("collection", "order_items"))) {
      auto owned = item;
      owned.owner = owner[std::string(AsView(item.fields.at("order").get_string()))];
      tx.Put(owned);
    }
    data::ImportCsv(tx, ReadFile(folder / "tickets.csv"), "tickets", {"id"}, "customer");
    data::Record done{mark, "samples", std::string(name), "", {}};
    for (const auto& user : users)
      if (user.role == "customer" && !user.demo_password.empty()) {
        done.fields = {{"email", user.email}, {"password", user.demo_password}};
        break;
      }
    tx.Put(done);
  });
  say(std::to_string(report.added) + " documents, " + std::to_string(report.chunks) + " passages, " + std::to_string(users.size()) + " users\n");
}

std::optional<SignInHint> FindSignInHint(Services& on) {
  const auto samples = on.store->Read(Context::System("example"), [](data::ReadTx& tx) { return tx.Find<data::Record>(data::Where("collection", "samples")); });
  for (const auto& sample : samples)
    if (sample.fields.contains("email")) return FromJson<SignInHint>(Json(sample.fields));
  return std::nullopt;
}

}  // namespace tenfold::app
