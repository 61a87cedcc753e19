#include "interface/document_view.h"

#include <algorithm>
#include <charconv>

#include "data/render.h"

namespace tenfold::interface {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxPlaces = 500;

retrieval::Document FindDocument(data::ReadTx& tx, const Context& ctx, const HttpRequest& request) {
  auto document = tx.Get<retrieval::Document>(request.path_params.at("id"));
  if (!document || !ctx.principal().MayRead(document->label)) throw Error(Code::kNotFound, "there is no such document");
  return std::move(*document);
}

std::int64_t ReadNumber(std::string_view text, const char* name) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out < 0) throw Error(Code::kInvalidArgument, std::string(name) + ": is a whole number, 0 or more", name);
  return out;
}

std::int64_t QueryNumber(const HttpRequest& request, const char* name) {
  const auto given = request.query.find(name);
  if (given == request.query.end()) throw Error(Code::kInvalidArgument, std::string(name) + ": is required", name);
  return ReadNumber(given->second, name);
}

HttpResponse ShowDocument(const DocumentViewParts& on, const Context& ctx, const HttpRequest& request) {
  return JsonResponse(on.store.Read(ctx, [&](data::ReadTx& tx) {
    const auto document = FindDocument(tx, ctx, request);
    const auto layout = tx.Get<retrieval::DocumentLayout>(document.id);
    return Json(JsonObject{{"id", document.id}, {"uri", document.uri}, {"title", document.title}, {"text", document.text}, {"version", document.version}, {"media_type", document.media_type}, {"link", document.link},
                           {"updated", FormatTime(FromMicros(document.updated_us))}, {"pages", layout ? static_cast<std::int64_t>(layout->pages.size()) : 0}});
  }));
}

/// The boxes whose text the bytes [begin, end) touch; one that is touched in part is given whole, for a line is the smallest thing a layout knows.
HttpResponse FindPlaces(const DocumentViewParts& on, const Context& ctx, const HttpRequest& request) {
  const auto begin = QueryNumber(request, "begin"), end = QueryNumber(request, "end");
  return JsonResponse(on.store.Read(ctx, [&](data::ReadTx& tx) {
    const auto document = FindDocument(tx, ctx, request);
    JsonArray places, pages;
    if (const auto layout = tx.Get<retrieval::DocumentLayout>(document.id)) {
      for (const auto& box : layout->boxes)
        if (box.begin < end && box.end > begin && places.size() < kMaxPlaces) places.push_back(ToJson(box));
      for (const auto& page : layout->pages) pages.push_back(ToJson(page));
    }
    return Json(JsonObject{{"places", std::move(places)}, {"pages", std::move(pages)}});
  }));
}

HttpResponse DrawPage(const DocumentViewParts& on, const Context& ctx, const HttpRequest& request) {
  const auto document = on.store.Read(ctx, [&](data::ReadTx& tx) { return FindDocument(tx, ctx, request); });
  HttpResponse response;
  // The picture of a version never changes, but whether its reader may see it can: it is kept by their browser alone, and asked for again.
  const auto etag = "\"" + document.content_hash.substr(0, 20) + "-" + request.path_params.at("page") + "\"";
  response.headers = {{"cache-control", "private, no-cache"}, {"etag", etag}, {"x-content-type-options", "nosniff"}, {"content-security-policy", "sandbox; default-src 'none'"}};
  if (request.header("if-none-match") == etag) {
    response.status = 304;
    return response;
  }
  if (document.media_type == "image/png" || document.media_type == "image/jpeg") {
    if (ReadNumber(request.path_params.at("page"), "page") != 1) throw Error(Code::kInvalidArgument, "page: a picture has one", "page");
    response.content_type = document.media_type;
    response.body = on.original(ctx, document);
    return response;
  }
  if (document.media_type != "application/pdf") throw Error(Code::kInvalidArgument, "a document of the type '" + document.media_type + "' has no pages that could be drawn; its text is at /api/documents/{id}");
  response.content_type = "image/png";
  response.body = data::RenderPdfPage(ctx, on.render_command, on.original(ctx, document), ReadNumber(request.path_params.at("page"), "page"));
  return response;
}

}  // namespace

std::vector<Endpoint> MakeDocumentViewEndpoints(std::shared_ptr<const DocumentViewParts> on) {
  const auto row = [&on](std::string path, std::chrono::seconds timeout, std::string summary, HttpResponse (*handle)(const DocumentViewParts&, const Context&, const HttpRequest&)) {
    return Endpoint{"GET", std::move(path), Access::kUser, timeout, std::move(summary), [on, handle](const Context& ctx, const HttpRequest& request) { return handle(*on, ctx, request); }};
  };
  return {row("/api/documents/{id}", 5s, "A document the caller may read, as text.", ShowDocument),
          row("/api/documents/{id}/places", 5s, "Where the bytes [begin, end) of a document's text stand: pages and boxes, in points from the upper left corner. Query: begin, end.", FindPlaces),
          row("/api/documents/{id}/pages/{page}", 20s, "A page of a PDF or a scanned picture, drawn.", DrawPage)};
}

}  // namespace tenfold::interface
