#pragma once
/// \file Server-sent events as they arrive. Source: WHATWG HTML, "Interpreting an event stream".
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace tenfold {

/// Takes bytes in any pieces, gives the data of each event. Comments, ids and event names are passed over. Used by one thread.
class SseParser {
 public:
  static constexpr std::size_t kMaxEventBytes = 4u << 20;
  explicit SseParser(std::function<void(std::string_view data)> on_event) : on_event_(std::move(on_event)) {}
  /// Errors: kResourceExhausted for an event beyond kMaxEventBytes; what on_event throws.
  void Push(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n' && after_return_) {
        after_return_ = false;
        continue;
      }
      after_return_ = c == '\r';
      if (c == '\n' || c == '\r') EndLine();
      else line_ += c;
      if (line_.size() + data_.size() > kMaxEventBytes) throw Error(Code::kResourceExhausted, "an event of the stream is larger than 4 MB");
    }
  }

 private:
  void EndLine() {
    if (line_.empty()) {
      if (has_data_) on_event_(data_);
      data_.clear();
      has_data_ = false;
      return;
    }
    if (line_.starts_with("data:")) {
      if (has_data_) data_ += '\n';
      data_ += std::string_view(line_).substr(line_.size() > 5 && line_[5] == ' ' ? 6 : 5);
      has_data_ = true;
    }
    line_.clear();
  }
  const std::function<void(std::string_view)> on_event_;
  std::string line_, data_;
  bool has_data_ = false, after_return_ = false;
};

}  // namespace tenfold
