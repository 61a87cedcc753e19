#include "interface/web_app.h"

#include <map>

#include "base/crypto.h"
#include "base/files.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

struct WebFile {
  std::string body;
  std::string media_type;
  std::string etag;
};

std::string MediaTypeOf(const std::string& extension) {
  static const std::map<std::string, std::string> types{{".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"}, {".svg", "image/svg+xml"},
                                                        {".png", "image/png"},                 {".ico", "image/x-icon"},                  {".json", "application/json"},        {".woff2", "font/woff2"},
                                                        {".txt", "text/plain; charset=utf-8"}, {".webmanifest", "application/manifest+json"}};
  const auto found = types.find(extension);
  return found == types.end() ? "application/octet-stream" : found->second;
}

}  // namespace

std::vector<Endpoint> MakeWebAppEndpoints(const std::filesystem::path& dist) {
  auto files = std::make_shared<std::map<std::string, WebFile>>();
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(dist, error), end; !error && at != end; at.increment(error)) {
    if (!at->is_regular_file()) continue;
    auto body = ReadFile(at->path(), 16u << 20);
    auto etag = "\"" + Sha256Hex(body).substr(0, 20) + "\"";
    (*files)[std::filesystem::relative(at->path(), dist).generic_string()] = {std::move(body), MediaTypeOf(at->path().extension().string()), std::move(etag)};
  }
  if (!files->contains("index.html"))
    (*files)["index.html"] = {"<!doctype html><title>Tenfold</title><p>The server runs, but its web app has not been built: <code>make web</code>. The API is described at <a href=\"/openapi.json\">/openapi.json</a>.</p>",
                              "text/html; charset=utf-8", "\"none\""};
  const auto serve = [files](const Context&, const HttpRequest& request) {
    const auto asked = request.path_params.find("path");
    std::string path = asked == request.path_params.end() ? "" : asked->second;
    if (path.starts_with("api/") || path.starts_with("v1/")) throw Error(Code::kNotFound, "there is no such path; see /openapi.json");
    auto file = files->find(path);
    if (file == files->end()) {
      if (path.find('.') != std::string::npos) throw Error(Code::kNotFound, "there is no such file");
      path = "index.html";
      file = files->find(path);
    }
    HttpResponse response;
    // Names under assets/ carry the hash of their content and so never change.
    response.headers = {{"cache-control", path.starts_with("assets/") ? "public, max-age=31536000, immutable" : "no-cache"},
                        {"etag", file->second.etag},
                        {"content-security-policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
                        {"x-content-type-options", "nosniff"},
                        {"referrer-policy", "no-referrer"}};
    response.content_type = file->second.media_type;
    if (request.header("if-none-match") == file->second.etag) response.status = 304;
    else response.body = file->second.body;
    return response;
  };
  std::vector<Endpoint> rows;
  rows.push_back({"GET", "/", Access::kPublic, 5s, "The web app.", serve, RunsOn::kIo});
  rows.push_back({"GET", "/{path...}", Access::kPublic, 5s, "The web app's files and pages.", serve, RunsOn::kIo});
  return rows;
}

}  // namespace tenfold::interface
