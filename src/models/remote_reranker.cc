#include "models/remote_reranker.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/utf8.h"
#include "models/remote_server.h"

namespace tenfold::models {
namespace {

// About 2,000 tokens, more than a passage has; Cohere and Jina would bill what lies beyond, and cut it.
constexpr std::size_t kMostBytes = 8000;

/// What differs between the protocols.
struct Protocol {
  std::string_view scheme, default_base, path, form;
  bool names_model;
  JsonObject (*request)(const std::string& model, std::string_view query, JsonArray passages);
  const JsonArray& (*results)(const Json& answer);
  const char* score;
};

JsonObject AskByName(const std::string& model, std::string_view query, JsonArray passages) {
  const auto count = passages.size();
  return JsonObject{{"model", model}, {"query", query}, {"documents", std::move(passages)}, {"top_n", count}};
}
const JsonArray& ResultsInside(const Json& answer) { return answer.at("results").as_array(); }

constexpr Protocol kProtocols[] = {
    {"cohere:", "https://api.cohere.com", "/v2/rerank", "cohere:model or cohere:https://host#model", true, AskByName, ResultsInside, "relevance_score"},
    {"jina:", "https://api.jina.ai/v1", "/rerank", "jina:model or jina:http://host:port/v1#model", true, AskByName, ResultsInside, "relevance_score"},
    {"tei:", "", "/rerank", "tei:http://host:port", false,
     [](const std::string&, std::string_view query, JsonArray passages) { return JsonObject{{"query", query}, {"texts", std::move(passages)}, {"raw_scores", false}, {"truncate", true}}; },
     [](const Json& answer) -> const JsonArray& { return answer.as_array(); }, "score"},
};

RemoteServer ServerOf(const Protocol& protocol, std::string_view url, std::string key) {
  auto rest = url.substr(protocol.scheme.size());
  const auto hash = protocol.names_model ? rest.rfind('#') : std::string_view::npos;
  const bool has_address = hash != std::string_view::npos || !protocol.names_model;
  auto base = has_address ? rest.substr(0, hash) : protocol.default_base;
  const auto model = !protocol.names_model ? url : hash == std::string_view::npos ? rest : rest.substr(hash + 1);
  if (model.empty() || model.size() > 256 || (!has_address && model.find("//") != std::string_view::npos) || !(base.starts_with("https://") || base.starts_with("http://")))
    throw Error(Code::kInvalidArgument, "'" + std::string(url.substr(0, 200)) + "' is not of the form " + std::string(protocol.form), "retrieval.reranker");
  while (base.ends_with('/')) base.remove_suffix(1);
  return {std::string(base), std::string(model), std::move(key)};
}

/// Some servers refuse an empty text.
std::string_view Cut(std::string_view text) {
  if (text.empty()) return " ";
  return CutUtf8(text, kMostBytes);
}

class RemoteReranker final : public Reranker {
 public:
  RemoteReranker(const Protocol& protocol, std::string_view url, std::string key) : protocol_(protocol), name_(url), server_(ServerOf(protocol, url, std::move(key))) {}

  std::vector<float> Score(const Context& ctx, std::string_view query, std::span<const std::string> passages) override {
    ctx.Check();
    if (passages.empty()) return {};
    JsonArray texts;
    for (const auto& passage : passages) texts.emplace_back(Cut(passage));
    RemoteServer::PostOptions post;
    post.response_limit_bytes = 4u << 20;
    const auto body = server_.Post(ctx, std::string(protocol_.path), protocol_.request(server_.model(), Cut(query), std::move(texts)), post);
    try {
      return Read(ParseJson(body), passages.size());
    } catch (const std::exception& e) {
      const auto* ours = dynamic_cast<const Error*>(&e);  // the server's fault, not our caller's, as ParseJson would have it
      throw Error(Code::kUnavailable, "'" + name_ + "' answered something that is no list of scores" + (ours ? ": " + ours->message() : ""));
    }
  }
  std::string name() const override { return name_; }

 private:
  std::vector<float> Read(const Json& answer, std::size_t count) const {
    std::vector<std::optional<float>> found(count);
    for (const auto& one : protocol_.results(answer)) {
      auto& place = found.at(one.at("index").to_number<std::size_t>());
      const auto score = one.at(protocol_.score).to_number<double>();
      if (place || !std::isfinite(score)) throw Error(Code::kUnavailable, "a passage has two scores, or one that is no number");
      place = static_cast<float>(score);
    }
    std::vector<float> out;
    bool are_logits = false;
    for (const auto& one : found) {
      if (!one) throw Error(Code::kUnavailable, "a passage has no score");
      are_logits = are_logits || *one < 0 || *one > 1;
      out.push_back(*one);
    }
    if (are_logits)
      for (auto& score : out) score = 1 / (1 + std::exp(-score));
    return out;
  }

  const Protocol& protocol_;
  const std::string name_;
  const RemoteServer server_;
};

}  // namespace

std::unique_ptr<Reranker> OpenRemoteReranker(std::string_view url, std::string api_key) {
  for (const auto& protocol : kProtocols)
    if (url.starts_with(protocol.scheme)) return std::make_unique<RemoteReranker>(protocol, url, std::move(api_key));
  throw Error(Code::kInvalidArgument, "no server of a re-ranker speaks '" + std::string(url.substr(0, url.find(':'))) + ":'; there are cohere, jina, tei", "retrieval.reranker");
}

}  // namespace tenfold::models
