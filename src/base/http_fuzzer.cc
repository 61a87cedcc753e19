// An HTTP request as the server reads it: the header, the way to its row of the table, the cookie, the body; whole and byte by byte, which must agree.
#include <boost/beast/http/error.hpp>

#include "base/http_connection.h"

namespace {

namespace http = boost::beast::http;

struct Parsed {
  tenfold::HttpRequest request;
  bool done = false;
  bool wrong = false;
};

Parsed Parse(std::string_view bytes, std::size_t piece) {
  Parsed out;
  tenfold::RequestParser parser(out.request);
  parser.header_limit(16 << 10);
  parser.body_limit(1 << 16);
  std::string unread;
  const auto put = [&] {
    boost::system::error_code error;
    unread.erase(0, parser.put(boost::asio::buffer(unread), error));
    if (parser.is_header_done() && !parser.eager()) {
      parser.eager(true);
      if (!error && !parser.is_done() && !unread.empty()) unread.erase(0, parser.put(boost::asio::buffer(unread), error));
    }
    if (error && error != http::error::need_more) out.wrong = true;
  };
  for (std::size_t at = 0; at < bytes.size() && !out.wrong && !parser.is_done(); at += piece) {
    unread += bytes.substr(at, piece);
    put();
  }
  // What a put leaves for later may be read by the next one.
  for (std::size_t before = unread.size() + 1; !out.wrong && !parser.is_done() && !unread.empty() && unread.size() < before;) {
    before = unread.size();
    put();
  }
  out.done = parser.is_done() && !out.wrong;
  if (parser.target_error()) out.request.path.clear();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = Parse(bytes, std::max<std::size_t>(1, size)), bytewise = Parse(bytes, 1);
  if (whole.done && bytewise.done && (whole.request.path != bytewise.request.path || whole.request.headers != bytewise.request.headers || whole.request.body != bytewise.request.body)) __builtin_trap();
  if (!whole.done) return 0;
  if (whole.request.path.find('\0') != std::string::npos) __builtin_trap();
  whole.request.cookie("tenfold_session");
  static const tenfold::Router router({{"GET", "/v1/me", tenfold::Access::kUser, {}, "", {}}, {"GET", "/v1/runs/{id}", tenfold::Access::kUser, {}, "", {}}, {"GET", "/{path...}", tenfold::Access::kPublic, {}, "", {}}});
  try {
    router.Find(whole.request.method, whole.request.path);
  } catch (const tenfold::Error&) {
  }
  return 0;
}
