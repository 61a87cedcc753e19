#pragma once
/// \file For tests and fuzzers of clients: a server on this machine that answers with bytes it was given, whatever it is asked.
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tenfold {

/// One request a connection, one connection at a time. Threads: of one caller.
class AnsweringServer {
 public:
  AnsweringServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) std::abort();
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~AnsweringServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  const std::string& url() const { return url_; }
  /// Of the requests from now on, in order; the last one of all that follow.
  void AnswerWith(std::vector<std::string> answers) {
    const std::lock_guard lock(mutex_);
    answers_ = std::move(answers);
    next_ = 0;
  }
  /// As bodies, one behind each byte `between`.
  void AnswerWithBodies(std::string_view bodies, char between, const std::string& headers = {}) {
    std::vector<std::string> out;
    for (;;) {
      const auto body = bodies.substr(0, bodies.find(between));
      out.push_back("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + std::string(body));
      if (body.size() == bodies.size()) break;
      bodies.remove_prefix(body.size() + 1);
    }
    AnswerWith(std::move(out));
  }

 private:
  void Serve() {
    for (int client; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0; ::close(client)) {
      // All of the request is read, so that closing does not take the answer away.
      std::string request;
      char piece[16384];
      for (std::size_t whole = std::string::npos; request.size() < whole;) {
        const auto n = ::recv(client, piece, sizeof piece, 0);
        if (n <= 0) break;
        request.append(piece, static_cast<std::size_t>(n));
        const auto end = request.find("\r\n\r\n");
        if (end == std::string::npos) continue;
        const auto* length = ::strcasestr(request.c_str(), "\r\ncontent-length:");
        whole = end + 4 + (length && length < request.c_str() + end ? std::strtoull(length + 17, nullptr, 10) : 0);
      }
      std::string answer;
      {
        const std::lock_guard lock(mutex_);
        if (!answers_.empty()) answer = answers_[std::min(next_++, answers_.size() - 1)];
      }
      for (std::string_view left = answer; !left.empty();) {
        const auto n = ::send(client, left.data(), left.size(), MSG_NOSIGNAL);
        if (n <= 0) break;
        left.remove_prefix(static_cast<std::size_t>(n));
      }
    }
  }

  const int listener_;
  std::string url_;
  std::mutex mutex_;
  std::vector<std::string> answers_;
  std::size_t next_ = 0;
  std::thread thread_;  // last: it uses the others
};

}  // namespace tenfold
