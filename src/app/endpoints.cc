#include "app/endpoints.h"

#include <algorithm>

#include "app/commands.h"
#include "app/example.h"
#include "app/operations.h"
#include "interface/chat.h"
#include "interface/document_view.h"
#include "interface/pedigree.h"
#include "interface/web_app.h"
#include "serving/openai.h"
#include "serving/openai_files.h"
#include "serving/pinecone.h"
#include "serving/weaviate.h"

namespace tenfold::app {
namespace {

using namespace std::chrono_literals;
using security::SignedIn;

struct SignInRequest {
  std::string email;
  std::string password;
  std::string token;
};
TENFOLD_DESCRIBE(SignInRequest, (email, Length{0, 254}), (password, Length{0, 1024}), (token, Length{0, 256}))

struct ControlRequest {
  std::vector<std::string> arguments;
};
TENFOLD_DESCRIBE(ControlRequest, (arguments, Required{}, Length{1, 256}))

Json SessionJson(const security::User& user, const std::string& csrf) {
  return JsonObject{{"user", JsonObject{{"email", user.id}, {"name", user.name}, {"role", user.role}}}, {"csrf", csrf}};
}

void SetSessionCookie(const Services& on, HttpResponse& response, const std::string& value, int max_age_seconds) {
  const bool tls = !on.settings.server.tls_certificate.empty();
  response.headers.emplace_back("set-cookie", "tenfold_session=" + value + "; HttpOnly; SameSite=Strict; Path=/; Max-Age=" + std::to_string(max_age_seconds) + (tls ? "; Secure" : ""));
}

HttpResponse SignInResponse(const Services& on, const SignedIn& in) {
  auto response = JsonResponse(SessionJson(in.user, in.csrf));
  SetSessionCookie(on, response, in.cookie, 43200);
  return response;
}

}  // namespace

std::vector<Endpoint> MakeEndpoints(Services& on) {
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/health", Access::kPublic, 1s, "Says that the process answers.", [](const Context&, const HttpRequest&) { return JsonResponse(JsonObject{{"status", "ok"}}); }, RunsOn::kIo});
  rows.push_back({"GET", "/ready", Access::kPublic, 1s, "Says whether every part is ready, and which is not.",
                  [&on](const Context&, const HttpRequest&) {
                    const bool followed = on.generations.live().index->commit() == on.store->commit();
                    // An engine that does not answer is told; whether questions are answered meanwhile is retrieval.index_fallback's.
                    const auto problem = on.generations.live().index->problem();
                    const auto live = on.registry->Resolve(registry::kLive)->config.model.generator;
                    const auto loaded = on.GeneratorNames();
                    // A model promoted just now loads with its first question; the passages are quoted by none.
                    const char* generator = !on.has_models() || live == "none" ? "none" : std::find(loaded.begin(), loaded.end(), live) != loaded.end() ? "ready" : "loads with the next question";
                    auto response = JsonResponse(JsonObject{{"ready", followed}, {"parts", JsonObject{{"store", "ready"}, {"index", !followed ? "behind" : problem.empty() ? "ready" : problem}, {"embedder", on.embedder ? "ready" : "none"}, {"generator", generator}}}, {"commit", on.store->commit()}});
                    response.status = followed ? 200 : 503;
                    return response;
                  },
                  RunsOn::kIo});
  rows.push_back({"GET", "/metrics", Access::kAdmin, 5s, "Metrics in the Prometheus text format.", [&on](const Context&, const HttpRequest&) {
                    HttpResponse response;
                    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                    response.body = on.metrics.Expose();
                    return response;
                  }});
  rows.push_back({"GET", "/v1/me", Access::kUser, 1s, "Who the caller is.",
                  [](const Context& ctx, const HttpRequest&) {
                    return JsonResponse(JsonObject{{"user", ctx.principal().user}, {"role", boost::json::string(RoleName(ctx.principal().role))}});
                  },
                  RunsOn::kIo});
  rows.push_back(MakeJsonEndpoint<SearchRequest, SearchResponse>("POST", "/v1/search", Access::kUser, 5s, "Passages the caller may read that answer a query.",
                                                                 [&on](const Context& ctx, const SearchRequest& request) { return on.Search(ctx, request); }));
  rows.push_back({"GET", "/api/session", Access::kPublic, 1s, "The signed-in user, or null.", [&on](const Context& ctx, const HttpRequest& request) {
                    const auto session = on.accounts->FindSession(request.cookie("tenfold_session"));
                    if (!session) return JsonResponse(JsonObject{{"user", nullptr}});
                    const auto user = on.store->Read(ctx, [&](data::ReadTx& tx) { return tx.Get<security::User>(session->user); });
                    return JsonResponse(user ? SessionJson(*user, session->csrf) : Json(JsonObject{{"user", nullptr}}));
                  }});
  Endpoint sign_in{"POST", "/api/session", Access::kPublic, 5s, "Signs in with e-mail and password, or with the token of a one-time link.", [&on](const Context& ctx, const HttpRequest& http) {
                     const auto request = FromJson<SignInRequest>(ParseJson(http.body));
                     return SignInResponse(on, request.token.empty() ? on.accounts->SignIn(ctx, request.email, request.password) : on.accounts->SignInWithLink(ctx, request.token));
                   }};
  sign_in.body_limit_bytes = 8 << 10;
  sign_in.request_schema = SchemaOf<SignInRequest>();
  rows.push_back(std::move(sign_in));
  rows.push_back({"DELETE", "/api/session", Access::kUser, 5s, "Signs out.", [&on](const Context& ctx, const HttpRequest& request) {
                    on.accounts->SignOut(ctx, request.cookie("tenfold_session"));
                    HttpResponse response;
                    response.status = 204;
                    SetSessionCookie(on, response, "", 0);
                    return response;
                  }});
  // The command line beside a running server: only the owner of the data folder can reach the socket this is called on.
  Endpoint control{"POST", "/api/control", Access::kAdmin, 600s, "Runs a command of the command line in this process.", [&on](const Context& ctx, const HttpRequest& http) {
                     if (!ctx.is_system()) throw Error(Code::kPermissionDenied, "commands are taken on the data folder's own socket only");
                     const auto request = FromJson<ControlRequest>(ParseJson(http.body));
                     HttpResponse response;
                     response.content_type = "application/x-ndjson";
                     response.stream = [&on, ctx, request](StreamWriter& out) {
                       const int status = RunCommand(ctx, on, request.arguments, [&](CommandOutput kind, std::string_view text) {
                         out.Write(ToText(JsonObject{{kind == CommandOutput::kResult ? "out" : "err", boost::json::string(text)}}) + "\n");
                       });
                       out.Write(ToText(JsonObject{{"exit", status}}) + "\n");
                     };
                     return response;
                   }};
  rows.push_back(std::move(control));
  rows.push_back({"POST", "/api/token", Access::kUser, 5s, "A signed access token of fifteen minutes for the caller; verify it with /.well-known/jwks.json.", [&on](const Context& ctx, const HttpRequest&) {
                    return JsonResponse(JsonObject{{"access_token", on.accounts->IssueToken(ctx.principal())}, {"token_type", "Bearer"}, {"expires_in", security::Accounts::kTokenSeconds}});
                  }});
  rows.push_back({"GET", "/.well-known/jwks.json", Access::kPublic, 1s, "The public key of access tokens.", [&on](const Context&, const HttpRequest&) { return JsonResponse(on.accounts->Jwks()); }});
  const auto add = [&rows](std::vector<Endpoint> more) { std::move(more.begin(), more.end(), std::back_inserter(rows)); };
  add(serving::MakeOpenAiEndpoints(std::make_shared<serving::OpenAiParts>(serving::OpenAiParts{
      *on.assistant, *on.runs,
      [&on] {
        std::vector<serving::ServedModel> models;
        for (const auto& name : on.GeneratorNames()) models.push_back({name, "llama.cpp"});
        if (on.embedder) models.push_back({on.settings.models.embedder, "tenfold"});
        return models;
      },
      [&on](std::string_view name) -> std::shared_ptr<models::Generator> {
        const auto known = on.GeneratorNames();
        // A request loads no model: which ones are served is the operator's choice.
        return std::find(known.begin(), known.end(), name) == known.end() ? nullptr : on.FindGenerator(name);
      },
      on.embedder.get(), on.settings.models.embedder, on.metrics})));
  add(serving::MakeOpenAiFileEndpoints(on.vector_stores));
  add(serving::MakePineconeEndpoints(std::make_shared<serving::PineconeParts>(serving::PineconeParts{*on.collections, on.embedder.get(), on.settings.models.embedder, !on.settings.server.tls_certificate.empty()})));
  add(serving::MakeWeaviateEndpoints(on.weaviate));
  add(interface::MakeChatEndpoints(std::make_shared<interface::ChatParts>(interface::ChatParts{*on.assistant, *on.runs, *on.store, [&on] {
                                                                                                 const auto live = on.registry->Resolve(registry::kLive);
                                                                                                 const auto& prompt = live->config.prompt;
                                                                                                 JsonObject about{{"name", prompt.name}, {"greeting", prompt.greeting}, {"suggestions", ToJson(prompt.suggestions)}, {"version", live->version}, {"ready", true}};
                                                                                                 if (const auto hint = FindSignInHint(on)) about["sign_in_hint"] = ToJson(*hint);
                                                                                                 return Json(about);
                                                                                               }})));
  add(interface::MakePedigreeEndpoints(std::make_shared<interface::PedigreeParts>(interface::PedigreeParts{*on.store, *on.runs, *on.registry})));
  add(interface::MakeDocumentViewEndpoints(std::make_shared<interface::DocumentViewParts>(interface::DocumentViewParts{
      *on.store, [&on](const Context& ctx, const retrieval::Document& document) { return on.originals->Get(ctx, document); },
      {std::filesystem::read_symlink("/proc/self/exe").string(), "render-page", on.settings.data.sandbox}})));
  add(MakeOperationsEndpoints(on));
  auto document = std::make_shared<std::string>();
  rows.push_back({"GET", "/openapi.json", Access::kPublic, 1s, "This API.",
                  [document](const Context&, const HttpRequest&) {
                    HttpResponse response;
                    response.body = *document;
                    return response;
                  },
                  RunsOn::kIo});
  *document = ToText(OpenApiOf(rows, "Tenfold", "0.1.0"));
  auto dist = ProgramFolder().parent_path() / "web" / "dist";
  if (!std::filesystem::exists(dist)) dist = ProgramFolder().parent_path().parent_path().parent_path() / "web" / "dist";
  add(interface::MakeWebAppEndpoints(dist));
  return rows;
}

}  // namespace tenfold::app
