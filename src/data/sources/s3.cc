#include "data/sources/s3.h"

#include <boost/url/parse.hpp>
#include <charconv>

#include "base/percent.h"
#include "data/parse.h"
#include "data/sources/http_source.h"
#include "data/sources/record_fields.h"

namespace tenfold::data {
namespace {

constexpr const char* kAccessName = "tenfold-access";

[[noreturn]] void ThrowUrl(const std::string& problem) { throw Error(Code::kInvalidArgument, "s3: " + problem, "url"); }

bool IsBucketName(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == std::string_view::npos && !name.starts_with('.') &&
         name.find("..") == std::string_view::npos;
}

bool IsHidden(std::string_view path) { return path.starts_with('.') || path.find("/.") != std::string_view::npos; }

class S3Source : public Source {
 public:
  S3Source(std::string_view rest, const SourceSetup& setup) : at_(ParseS3Url(rest, setup)), client_(at_.place, S3CredentialsOf(setup), Hastened(std::chrono::milliseconds(200), setup.haste)) {
    url_ = "s3:" + at_.place.endpoint + "/" + at_.place.bucket + "/" + PercentEncode(at_.prefix, "/");
    if (!at_.access.empty()) url_ += "?access=" + at_.access;
  }
  const std::string& url() const override { return url_; }

  SourcePage List(const Context& ctx, const std::string&, const std::string& page) override {
    const auto got = client_.List(ctx, at_.prefix, page, at_.page);
    SourcePage out;
    for (const auto& object : got.objects) {
      if (!object.key.starts_with(at_.prefix)) throw Error(Code::kUnavailable, "'" + url_ + "' lists what was not asked for");
      SourceItem item;
      item.path = object.key.substr(at_.prefix.size());
      if (item.path.empty() || item.path.ends_with('/') || IsHidden(item.path)) continue;
      item.media_type = MediaTypeOf(item.path);
      if (item.media_type.empty()) continue;
      item.fingerprint = object.etag + "-" + std::to_string(object.size);
      item.link = client_.UrlOf(object.key);
      if (!object.last_modified.empty()) item.metadata["last_modified"] = object.last_modified;
      if (!IsUtf8(item.path)) item.problem = "its key is not UTF-8";
      else if (object.size > kMaxDocumentBytes) item.problem = "has " + std::to_string(object.size) + " bytes, limit " + std::to_string(kMaxDocumentBytes);
      else if (object.storage_class == "GLACIER" || object.storage_class == "DEEP_ARCHIVE")
        item.problem = "is archived (" + object.storage_class + "); restore it first";
      else if (!at_.access.empty() && !ReadAccess(ctx, object.key, item)) continue;
      out.items.push_back(std::move(item));
    }
    out.next = got.next;
    return out;
  }

  SourceContent Read(const Context& ctx, const SourceItem& item) override {
    return {client_.Get(ctx, at_.prefix + item.path, kMaxDocumentBytes), std::string(MediaTypeOf(item.path))};
  }

 private:
  /// False if the object has gone since it was listed.
  bool ReadAccess(const Context& ctx, const std::string& key, SourceItem& item) const {
    std::string said;
    if (at_.access == "metadata") {
      const auto head = client_.Head(ctx, key);
      if (!head) return false;
      if (const auto found = head->metadata.find(kAccessName); found != head->metadata.end()) said = found->second;
    } else {
      try {
        const auto tags = client_.GetTags(ctx, key);
        if (const auto found = tags.find(kAccessName); found != tags.end()) said = found->second;
      } catch (const Error& e) {
        if (e.code() == Code::kNotFound) return false;
        throw;
      }
    }
    try {
      // A tag holds no commas: blanks part its labels.
      if (at_.access == "tags")
        for (auto& c : said) c = c == ' ' ? ',' : c;
      item.access = AccessOf(Json(said));
    } catch (const Error& e) {
      item.problem = e.message();
    }
    return true;
  }

  const S3Url at_;
  const S3Client client_;
  std::string url_;
};

}  // namespace

S3Url ParseS3Url(std::string_view rest, const SourceSetup& setup) {
  S3Url out;
  const bool has_endpoint = rest.starts_with("http://") || rest.starts_with("https://");
  // The endpoint of an "s3:bucket/…" lies elsewhere; any host will do to read the parts.
  const auto text = has_endpoint ? std::string(rest) : "https://s3/" + std::string(rest);
  const auto parsed = boost::urls::parse_uri(text);
  if (!parsed || rest.starts_with('/') || parsed->encoded_path().empty()) ThrowUrl("write bucket/folder or http://host:port/bucket/folder");
  if (parsed->has_userinfo()) ThrowUrl("credentials are not part of a URL; put them into $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY");
  auto path = std::string(parsed->path()).substr(1);
  const auto slash = std::min(path.find('/'), path.size());
  out.place.bucket = path.substr(0, slash);
  out.prefix = path.substr(std::min(slash + 1, path.size()));
  while (out.prefix.ends_with('/')) out.prefix.pop_back();
  if (!out.prefix.empty()) out.prefix += '/';
  if (out.prefix.find('\0') != std::string::npos || !IsUtf8(out.prefix)) ThrowUrl("the folder's name holds what no key has");
  if (!IsBucketName(out.place.bucket)) ThrowUrl("'" + out.place.bucket.substr(0, 64) + "' is no name of a bucket");

  std::map<std::string, std::string> settings;
  for (const auto& parameter : parsed->params()) {
    const std::string key(parameter.key);
    if (key != "region" && key != "style" && key != "access" && key != "page")
      ThrowUrl("'" + key.substr(0, 64) + "' is no setting of this URL; there are region, style, access, page");
    if (!settings.emplace(key, parameter.value).second) ThrowUrl("'" + key + "' is given twice");
  }
  const auto endpoint_setting = setup.secret("AWS_ENDPOINT_URL");
  if (const auto region = settings.contains("region") ? settings["region"] : setup.secret("AWS_REGION"); !region.empty()) out.place.region = region;
  if (out.place.region.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != std::string::npos)
    ThrowUrl("region= holds a character that no region has");
  bool is_aws = false;
  if (has_endpoint || !endpoint_setting.empty()) {
    const auto endpoint = has_endpoint ? parsed : boost::urls::parse_uri(endpoint_setting);
    if (!endpoint || (endpoint->scheme() != "http" && endpoint->scheme() != "https") || endpoint->host().empty())
      ThrowUrl("AWS_ENDPOINT_URL is no http: or https: URL");
    const bool tls = endpoint->scheme() == "https";
    out.place.endpoint = std::string(endpoint->scheme()) + "://" + std::string(endpoint->encoded_host());
    // The default port is not in the Host header, and so not in what is signed.
    if (endpoint->has_port() && endpoint->port() != (tls ? "443" : "80")) out.place.endpoint += ":" + std::string(endpoint->port());
  } else {
    is_aws = true;
    out.place.endpoint = "https://s3." + out.place.region + ".amazonaws.com" + (out.place.region.starts_with("cn-") ? ".cn" : "");
  }
  // A dot in the bucket's name would not match the certificate of the virtual host.
  const auto style = settings.contains("style") ? settings["style"] : is_aws && out.place.bucket.find('.') == std::string::npos ? "virtual" : "path";
  if (style != "virtual" && style != "path") ThrowUrl("style= is path or virtual");
  out.place.style = style == "virtual" ? S3Place::Style::kVirtualHost : S3Place::Style::kPath;
  if (settings.contains("access")) out.access = settings["access"];
  if (!out.access.empty() && out.access != "metadata" && out.access != "tags") ThrowUrl("access= is metadata or tags");
  if (const auto page = settings.contains("page") ? settings["page"] : ""; !page.empty())
    if (std::from_chars(page.data(), page.data() + page.size(), out.page).ptr != page.data() + page.size() || out.page < 1 || out.page > 1000)
      ThrowUrl("page= is a number from 1 to 1000");
  return out;
}

S3Credentials S3CredentialsOf(const SourceSetup& setup) {
  return {setup.secret("AWS_ACCESS_KEY_ID"), setup.secret("AWS_SECRET_ACCESS_KEY"), setup.secret("AWS_SESSION_TOKEN")};
}

std::unique_ptr<Source> OpenS3Source(std::string_view rest, const SourceSetup& setup) { return std::make_unique<S3Source>(rest, setup); }

}  // namespace tenfold::data
