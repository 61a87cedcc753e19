// The pool of confined parsers and what one of them runs. Protocol, one request and one answer at a time, host byte order, both ends of one build:
//   request: RequestHead, media type, document bytes
//   answer:  AnswerHead, JSON of the ParsedDocument without its text (or the error's message), text
#include <malloc.h>
#include <unistd.h>

#include <cstring>

#include "base/process.h"
#include "base/sandbox.h"
#include "data/parse.h"

namespace tenfold::data {
namespace {

struct RequestHead {
  std::uint32_t magic;
  std::uint32_t media_type_bytes;
  std::uint64_t document_bytes;
  std::uint64_t timeout_ms;
};
struct AnswerHead {
  std::uint32_t magic;
  std::uint32_t error;  ///< 0, or a Code + 1
  std::uint64_t json_bytes;
  std::uint64_t text_bytes;
  std::uint64_t heap_bytes;
};
constexpr std::uint32_t kMagic = 0x7e4f1d01;
constexpr std::uint64_t kMaxAnswerJson = 128u << 20;  // a line of layout is some 120 bytes of JSON
constexpr std::uint64_t kMaxMediaType = 256;
// What a child may still say after its own deadline before it is killed: "time is up" reads better than a kill.
constexpr auto kGrace = std::chrono::milliseconds(500);
constexpr std::uint64_t kCpuSecondsEach = 3600;

/// How much of a child's share a document takes.
std::int64_t Uses(std::string_view media_type) { return media_type.starts_with("text/") && media_type != "text/html" ? 1 : 16; }

/// What came out of a child is as little trusted as what went in.
void CheckAnswer(const ParsedDocument& document) {
  if (document.text.size() > kMaxTextBytes) throw Error(Code::kDataLoss, "its parser answered with too much text");
  if (!IsUtf8(document.text)) throw Error(Code::kDataLoss, "its parser answered with text that is not UTF-8");
  std::int64_t before = 0;
  for (const auto& box : document.layout) {
    const auto inside = [&](std::int64_t at) {
      return at >= 0 && at <= static_cast<std::int64_t>(document.text.size()) &&
             (at == static_cast<std::int64_t>(document.text.size()) || (static_cast<unsigned char>(document.text[static_cast<std::size_t>(at)]) & 0xc0) != 0x80);
    };
    if (box.begin < before || box.end < box.begin || box.page < 1 || !inside(box.begin) || !inside(box.end)) throw Error(Code::kDataLoss, "its parser answered with a layout outside the text");
    before = box.begin;
  }
}

bool ReadFully(char* out, std::size_t size) {
  while (size > 0) {
    const auto n = ::read(STDIN_FILENO, out, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    out += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool WriteFully(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool Answer(std::uint32_t error, std::string_view json, std::string_view text) {
  const auto heap = ::mallinfo2();
  const AnswerHead head{kMagic, error, json.size(), text.size(), heap.arena + heap.hblkhd};
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  out += json;
  // One write for a small answer, so that the parent wakes once.
  if (text.size() < 65536) out += text;
  return WriteFully(out) && (text.size() < 65536 || WriteFully(text));
}

std::uint32_t Number(Code code) { return static_cast<std::uint32_t>(code) + 1; }

}  // namespace

struct ParserPool::Child {
  explicit Child(const std::vector<std::string>& command) : process({command}) {}
  RunningProcess process;
  std::int64_t uses = 0;
};

ParserPool::ParserPool(Options options)
    : options_([&] {
        if (options.children == 0) options.children = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
        return std::move(options);
      }()) {}

ParserPool::~ParserPool() = default;

std::unique_ptr<ParserPool::Child> ParserPool::Borrow(const Context& ctx) {
  std::unique_lock lock(mutex_);
  while (busy_ >= options_.children) {
    ctx.Check();
    free_.wait_for(lock, std::chrono::milliseconds(20));
  }
  ++busy_;
  while (!idle_.empty()) {
    auto child = std::move(idle_.back());
    idle_.pop_back();
    // One that died while it waited (an out-of-memory kill) must not fail the next document.
    if (!child->process.ExitStatus()) return child;
  }
  return nullptr;
}

void ParserPool::Return(std::unique_ptr<Child> child) {
  {
    const std::lock_guard lock(mutex_);
    --busy_;
    if (child) idle_.push_back(std::move(child));
  }
  free_.notify_one();
}

ParsedDocument ParserPool::Parse(const Context& ctx, std::string_view bytes, std::string_view media_type) {
  if (bytes.size() > kMaxDocumentBytes) throw Error(Code::kResourceExhausted, "the file has " + std::to_string(bytes.size()) + " bytes, limit " + std::to_string(kMaxDocumentBytes));
  if (media_type.size() > kMaxMediaType) throw Error(Code::kInvalidArgument, "the media type is longer than " + std::to_string(kMaxMediaType) + " bytes");
  if (options_.command.empty()) throw Error(Code::kFailedPrecondition, "no command to parse documents with");
  auto child = Borrow(ctx);
  struct Turn {
    ParserPool& pool;
    std::unique_ptr<Child>& child;
    bool keep = false;
    ~Turn() {
      if (!keep) child.reset();
      pool.Return(std::move(child));
    }
  } turn{*this, child};
  if (!child) {
    child = std::make_unique<Child>(options_.command);
    ++started_;
  }
  const auto hard = ctx.WithTimeout(options_.document_timeout);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(hard.deadline() - hard.clock().Now()).count();
  const RequestHead request{kMagic, static_cast<std::uint32_t>(media_type.size()), bytes.size(), static_cast<std::uint64_t>(std::max<std::int64_t>(left - std::min<std::int64_t>(left / 4, kGrace.count()), 1))};
  std::string head(reinterpret_cast<const char*>(&request), sizeof request);
  head += media_type;
  AnswerHead answer{};
  std::string json, text;
  try {
    if (bytes.size() < 65536) {
      child->process.Write(hard, head.append(bytes));
    } else {
      child->process.Write(hard, head);
      child->process.Write(hard, bytes);
    }
    child->process.Read(hard, reinterpret_cast<char*>(&answer), sizeof answer);
    if (answer.magic != kMagic || answer.error > Number(Code::kInternal) || answer.json_bytes > kMaxAnswerJson || answer.text_bytes > kMaxTextBytes)
      throw Error(Code::kDataLoss, "its parser answered nonsense");
    json.resize(answer.json_bytes);
    child->process.Read(hard, json.data(), json.size());
    text.resize(answer.text_bytes);
    child->process.Read(hard, text.data(), text.size());
  } catch (const Error& e) {
    if (e.code() != Code::kUnavailable) throw;
    const auto status = child->process.ExitStatus(std::chrono::milliseconds(1000));
    if (status && *status < 0) throw Error(Code::kDataLoss, "its parser ended by signal " + std::to_string(-*status));
    throw Error(Code::kDataLoss, status ? "its parser ended with status " + std::to_string(*status) : "its parser closed its pipes");
  }
  child->uses += Uses(media_type);
  // After an error a child is whole: its document is gone. But a deadline may have left a separate program running, and memory that ran out may be in pieces.
  const auto code = answer.error == 0 ? Code::kInternal : static_cast<Code>(answer.error - 1);
  turn.keep = child->uses < options_.uses_each && answer.heap_bytes <= options_.memory_mark_bytes && code != Code::kDeadlineExceeded && code != Code::kResourceExhausted && code != Code::kUnavailable;
  if (answer.error != 0) {
    if (!IsUtf8(json)) throw Error(Code::kDataLoss, "its parser answered nonsense");
    throw Error(code, json.substr(0, 2000));
  }
  try {
    auto document = FromJson<ParsedDocument>(ParseJson(json));
    document.text = std::move(text);
    CheckAnswer(document);
    return document;
  } catch (const Error& e) {
    turn.keep = false;
    throw Error(Code::kDataLoss, e.code() == Code::kDataLoss ? e.message() : "its parser answered nonsense: " + e.message());
  }
}

int ParseMain(bool allow_without_landlock) {
  try {
    SandboxLimits limits;
    limits.cpu_seconds = kCpuSecondsEach;
    // /dev/null: what a separate program is given for what it may not write. Nothing else outside the programs and their tables.
    limits.readable = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/fonts", "/var/cache/fontconfig"};
    EnterSandbox(limits, allow_without_landlock);
  } catch (const std::exception& e) {
    Answer(Number(Code::kUnavailable), e.what(), {});
    return 1;
  }
  RequestHead request{};
  while (ReadFully(reinterpret_cast<char*>(&request), sizeof request)) {
    if (request.magic != kMagic || request.media_type_bytes > kMaxMediaType || request.document_bytes > kMaxDocumentBytes) return 2;
    bool answered = false;
    try {
      std::string media_type(request.media_type_bytes, '\0'), bytes(request.document_bytes, '\0');
      if (!ReadFully(media_type.data(), media_type.size()) || !ReadFully(bytes.data(), bytes.size())) return 2;
      LimitCpuFromNow(request.timeout_ms / 1000 + 1);
      const auto ctx = Context::System("parse").WithTimeout(std::chrono::milliseconds(request.timeout_ms));
      auto document = ParseBytes(ctx, bytes, media_type);
      const auto text = std::move(document.text);
      document.text.clear();
      answered = Answer(0, ToText(ToJson(document)), text);
    } catch (const Error& e) {
      answered = Answer(Number(e.code()), e.message(), {});
    } catch (const std::bad_alloc&) {
      answered = Answer(Number(Code::kResourceExhausted), "its parser ran out of memory, limit " + std::to_string(SandboxLimits{}.memory_bytes >> 20) + " MB", {});
    } catch (const std::exception& e) {
      answered = Answer(Number(Code::kInvalidArgument), e.what(), {});
    }
    if (!answered) return 2;
  }
  return 0;
}

}  // namespace tenfold::data
