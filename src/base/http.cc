#include "base/http.h"

#include <algorithm>

namespace tenfold {

std::string_view HttpRequest::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_name) return value;
  return {};
}

std::vector<std::string> HttpRequest::query_all(const std::string& name) const {
  std::vector<std::string> out;
  for (auto [at, end] = query.equal_range(name); at != end; ++at) out.push_back(at->second);
  return out;
}

std::string_view HttpRequest::cookie(std::string_view name) const {
  std::string_view rest = header("cookie");
  while (!rest.empty()) {
    const auto end = std::min(rest.find(';'), rest.size());
    auto pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return pair.substr(equals + 1);
  }
  return {};
}

int HttpStatusOf(Code code) {
  switch (code) {
    case Code::kCancelled: return 499;
    case Code::kInvalidArgument: return 400;
    case Code::kDeadlineExceeded: return 504;
    case Code::kNotFound: return 404;
    case Code::kAlreadyExists: return 409;
    case Code::kPermissionDenied: return 403;
    case Code::kUnauthenticated: return 401;
    case Code::kResourceExhausted: return 429;
    case Code::kFailedPrecondition: return 412;
    case Code::kAborted: return 409;
    case Code::kUnavailable: return 503;
    case Code::kDataLoss: return 500;
    case Code::kUnimplemented: return 405;
    case Code::kInternal: return 500;
  }
  return 500;
}

HttpResponse JsonResponse(const Json& body, int status) {
  HttpResponse response;
  response.status = status;
  response.body = ToText(body);
  return response;
}

std::string_view OpenAiErrorType(int status) {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

HttpResponse ErrorResponse(const Error& error) {
  HttpResponse response;
  response.status = HttpStatusOf(error.code());
  JsonObject body;
  body["message"] = error.message();
  body["type"] = boost::json::string(OpenAiErrorType(response.status));
  body["param"] = error.param().empty() ? Json(nullptr) : Json(boost::json::string(error.param()));
  body["code"] = boost::json::string(response.status == 401 ? "invalid_api_key" : CodeName(error.code()));
  response.body = ToText(JsonObject{{"error", std::move(body)}});
  if (response.status == 429 || response.status == 503) response.headers.emplace_back("retry-after", "1");
  if (response.status == 401) response.headers.emplace_back("www-authenticate", "Bearer");
  return response;
}

namespace {
std::vector<std::string_view> SplitPath(std::string_view path) {
  std::vector<std::string_view> parts;
  while (path.starts_with('/')) path.remove_prefix(1);
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return parts;
}

bool MatchPattern(std::string_view pattern, std::string_view path, std::map<std::string, std::string, std::less<>>& params) {
  const auto wanted = SplitPath(pattern), given = SplitPath(path);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].ends_with("...}")) {
      std::string rest;
      for (std::size_t j = i; j < given.size(); ++j) rest += (rest.empty() ? "" : "/") + std::string(given[j]);
      params[std::string(wanted[i].substr(1, wanted[i].size() - 5))] = rest;
      return true;
    }
    if (i >= given.size()) return false;
    if (wanted[i].starts_with('{')) params[std::string(wanted[i].substr(1, wanted[i].size() - 2))] = std::string(given[i]);
    else if (wanted[i] != given[i]) return false;
  }
  return wanted.size() == given.size();
}
}  // namespace

Router::Router(std::vector<Endpoint> endpoints) : endpoints_(std::move(endpoints)) {
  for (const auto& endpoint : endpoints_)
    if (endpoint.path.find('{') == std::string::npos) fixed_[endpoint.path][endpoint.method] = &endpoint;
}

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  bool other_method = false;
  const std::string_view asked = method == "HEAD" ? "GET" : method;
  if (const auto at = fixed_.find(path); at != fixed_.end()) {
    if (const auto row = at->second.find(asked); row != at->second.end()) return {row->second, {}};
    other_method = true;
  }
  for (const auto& endpoint : endpoints_) {
    if (endpoint.path.find('{') == std::string::npos) continue;
    Match match;
    if (!MatchPattern(endpoint.path, path, match.params)) continue;
    if (endpoint.method == asked) {
      match.endpoint = &endpoint;
      return match;
    }
    // The page's catch-all row does not make every path exist for every method.
    if (endpoint.path.find("...}") == std::string::npos) other_method = true;
  }
  if (other_method) throw Error(Code::kUnimplemented, "the method is not allowed on this path; see /openapi.json");
  throw Error(Code::kNotFound, "there is no such path; see /openapi.json");
}

Json OpenApiOf(const std::vector<Endpoint>& endpoints, std::string_view title, std::string_view version) {
  JsonObject paths;
  for (const auto& endpoint : endpoints) {
    if (endpoint.path.find("...}") != std::string::npos) continue;
    JsonObject operation;
    operation["summary"] = endpoint.summary;
    std::string id = endpoint.method + endpoint.path;
    std::replace_if(id.begin(), id.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
    operation["operationId"] = id;
    JsonArray parameters;
    for (const auto part : SplitPath(endpoint.path))
      if (part.starts_with('{'))
        parameters.push_back(JsonObject{{"name", std::string(part.substr(1, part.size() - 2))}, {"in", "path"}, {"required", true}, {"schema", JsonObject{{"type", "string"}}}});
    if (!parameters.empty()) operation["parameters"] = std::move(parameters);
    if (!endpoint.request_schema.is_null())
      operation["requestBody"] = JsonObject{{"content", JsonObject{{"application/json", JsonObject{{"schema", endpoint.request_schema}}}}}};
    JsonObject ok{{"description", "success"}};
    if (!endpoint.response_schema.is_null()) ok["content"] = JsonObject{{"application/json", JsonObject{{"schema", endpoint.response_schema}}}};
    operation["responses"] = JsonObject{{"200", std::move(ok)}, {"default", JsonObject{{"description", "an error; see error.message"}}}};
    operation["security"] = endpoint.access == Access::kPublic ? JsonArray{} : JsonArray{JsonObject{{"bearer", JsonArray{}}}, JsonObject{{"session", JsonArray{}}}};
    std::string method = endpoint.method;
    std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (!paths.contains(endpoint.path)) paths[endpoint.path] = JsonObject{};
    paths[endpoint.path].get_object()[method] = std::move(operation);
  }
  return JsonObject{{"openapi", "3.1.0"},
                    {"info", JsonObject{{"title", boost::json::string(title)}, {"version", boost::json::string(version)}}},
                    {"paths", std::move(paths)},
                    {"components", JsonObject{{"securitySchemes", JsonObject{{"bearer", JsonObject{{"type", "http"}, {"scheme", "bearer"}}},
                                                                             {"session", JsonObject{{"type", "apiKey"}, {"in", "cookie"}, {"name", "tenfold_session"}}}}}}}};
}

}  // namespace tenfold
