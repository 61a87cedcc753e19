#include "models/llama_generator.h"

#ifndef TENFOLD_WITH_LLAMA

namespace tenfold::models {
std::unique_ptr<Generator> OpenLlamaGenerator(const std::filesystem::path&, LlamaOptions) { throw Error(Code::kUnimplemented, "this program was built without llama.cpp"); }
std::filesystem::path PrepareGguf(const Context&, const std::filesystem::path& source, std::string_view format) {
  if (format == "as_is") return source;
  throw Error(Code::kUnimplemented, "this program was built without llama.cpp");
}
}  // namespace tenfold::models

#else

#include <llama.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <list>
#include <mutex>

#include "base/log.h"
#include "chat.h"
#include "json-schema-to-grammar.h"
#include "models/model_file.h"

namespace tenfold::models {
namespace {

using Tokens = std::vector<llama_token>;
constexpr std::int32_t kBatchTokens = 512;
// Saving a state costs a copy of it; a prefix shorter than this is computed again as fast.
constexpr std::size_t kWorthKeeping = 48;
constexpr std::size_t kWorthLoading = 16;
constexpr std::size_t kMaxDraft = 10;

// Set by the engine's log: its functions say no more than that they failed. Of the thread that loads.
thread_local bool no_memory = false;

void StartBackend() {
  static const bool started = [] {
    llama_log_set(
        [](ggml_log_level level, const char* text, void*) {
          if (level != GGML_LOG_LEVEL_ERROR) return;
          Log(LogLevel::kWarning, "llama.cpp", {{"text", text}});
          for (const std::string_view sign : {"llocate", "bad_alloc"}) no_memory = no_memory || std::string_view(text).find(sign) != std::string_view::npos;
        },
        nullptr);
    llama_backend_init();
    return true;
  }();
  (void)started;
}

std::uint64_t AvailableMemory() {
  std::ifstream in("/proc/meminfo");
  std::string name, unit;
  std::uint64_t kilobytes;
  while (in >> name >> kilobytes >> unit)
    if (name == "MemAvailable:") return kilobytes * 1024;
  return ~std::uint64_t{0};
}

std::size_t CommonPrefix(const Tokens& a, const Tokens& b) { return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin()); }

/// How many bytes at the end of `text` are the beginning of an unfinished UTF-8 sequence.
std::size_t UnfinishedTail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(4, text.size()); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xC0) == 0x80) continue;
    const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/// Text on its way out: whole characters, nothing that could still become a stop string.
class TextGate {
 public:
  TextGate(const std::vector<std::string>& stop, const Generator::OnText& on_text) : stop_(stop), on_text_(on_text) {}
  /// True once a stop string has come.
  bool Push(std::string_view piece) {
    text_ += piece;
    for (const auto& stop : stop_) {
      if (stop.empty()) continue;
      const auto from = given_ >= stop.size() ? given_ - stop.size() : 0;
      if (const auto at = text_.find(stop, from); at != std::string::npos) {
        text_.resize(std::max(at, given_));
        Give(text_.size());
        return true;
      }
    }
    std::size_t hold = UnfinishedTail(text_);
    for (const auto& stop : stop_)
      for (std::size_t n = std::min(stop.size(), text_.size()); n > hold; --n)
        if (std::string_view(text_).ends_with(std::string_view(stop).substr(0, n))) {
          hold = n;
          break;
        }
    if (text_.size() - hold > given_) Give(text_.size() - hold);
    return false;
  }
  std::string Finish() {
    text_.resize(text_.size() - UnfinishedTail(text_));
    Give(text_.size());
    return std::move(text_);
  }

 private:
  void Give(std::size_t until) {
    if (until <= given_) return;
    if (on_text_) on_text_(std::string_view(text_).substr(given_, until - given_));
    given_ = until;
  }
  const std::vector<std::string>& stop_;
  const Generator::OnText& on_text_;
  std::string text_;
  std::size_t given_ = 0;
};

struct FreeModel {
  void operator()(llama_model* p) const { llama_model_free(p); }
};
struct FreeContext {
  void operator()(llama_context* p) const { llama_free(p); }
};
struct FreeSampler {
  void operator()(llama_sampler* p) const { llama_sampler_free(p); }
};

/// First come, first served; at most `capacity` wait.
class Turnstile {
 public:
  explicit Turnstile(std::size_t capacity) : capacity_(capacity) {}
  class Pass {
   public:
    Pass(Turnstile& gate, const Context& ctx) : gate_(gate) {
      std::unique_lock lock(gate_.mutex_);
      if (gate_.waiting_.size() > gate_.capacity_) throw Error(Code::kResourceExhausted, "the model is busy and " + std::to_string(gate_.capacity_) + " requests wait already; try again shortly");
      const auto me = gate_.next_++;
      gate_.waiting_.push_back(me);
      while (gate_.waiting_.front() != me) {
        gate_.changed_.wait_for(lock, std::chrono::milliseconds(20));
        if (ctx.done()) {
          std::erase(gate_.waiting_, me);
          gate_.changed_.notify_all();
          lock.unlock();
          ctx.Check();
        }
      }
    }
    ~Pass() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.waiting_.pop_front();
      gate_.changed_.notify_all();
    }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    Turnstile& gate_;
  };

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::uint64_t> waiting_;  // the first one is at work
  std::uint64_t next_ = 0;
};

/// States of earlier prompts, newest first, within a budget.
class PrefixCache {
 public:
  explicit PrefixCache(std::size_t budget_bytes) : budget_bytes_(budget_bytes) {}
  struct Entry {
    Tokens tokens;
    std::vector<std::uint8_t> state;
  };
  /// The entry that shares the longest beginning with `prompt`, and how long that is.
  std::pair<const Entry*, std::size_t> Find(const Tokens& prompt) {
    auto best = entries_.end();
    std::size_t length = 0;
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry)
      if (const auto common = CommonPrefix(entry->tokens, prompt); common > length) {
        length = common;
        best = entry;
      }
    if (best == entries_.end()) return {nullptr, 0};
    entries_.splice(entries_.begin(), entries_, best);
    return {&entries_.front(), length};
  }
  bool Holds(const Tokens& tokens) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return CommonPrefix(entry.tokens, tokens) == tokens.size(); });
  }
  void Keep(Tokens tokens, std::vector<std::uint8_t> state) {
    used_bytes_ += state.size();
    entries_.push_front({std::move(tokens), std::move(state)});
    while (used_bytes_ > budget_bytes_ && !entries_.empty()) {
      used_bytes_ -= entries_.back().state.size();
      entries_.pop_back();
    }
  }

 private:
  const std::size_t budget_bytes_;
  std::size_t used_bytes_ = 0;
  std::list<Entry> entries_;
};

class LlamaGenerator : public Generator {
 public:
  LlamaGenerator(const std::filesystem::path& gguf, LlamaOptions options) : options_(std::move(options)), gate_(options_.queue), prefixes_(options_.prefix_cache_bytes) {
    StartBackend();
    std::error_code error;
    const auto bytes = std::filesystem::file_size(gguf, error);
    if (error) throw Error(Code::kNotFound, "open model '" + gguf.string() + "': " + error.message());
    if (const auto available = AvailableMemory(); bytes + (256u << 20) > available)
      throw Error(Code::kResourceExhausted, "open model '" + options_.name + "': it needs " + std::to_string((bytes >> 20) + 256) + " MB of memory, " + std::to_string(available >> 20) + " MB are free; choose a smaller model");
    auto model_params = llama_model_default_params();
    no_memory = false;
    model_.reset(llama_model_load_from_file(gguf.c_str(), model_params));
    if (!model_ && no_memory) throw Error(Code::kResourceExhausted, "open model '" + options_.name + "': the memory this process may use is too small for it; choose a smaller model");
    if (!model_) throw Error(Code::kDataLoss, "open model '" + options_.name + "': '" + gguf.string() + "' is not a whole GGUF model; fetch it again with 'tenfold models pull'");
    vocab_ = llama_model_get_vocab(model_.get());
    auto params = llama_context_default_params();
    params.n_ctx = options_.context_tokens;
    params.n_batch = kBatchTokens;
    params.n_ubatch = kBatchTokens;
    params.n_seq_max = 1;
    params.n_threads = static_cast<std::int32_t>(options_.threads);
    params.n_threads_batch = static_cast<std::int32_t>(options_.threads);
    params.no_perf = true;
    params.abort_callback = [](void* self) { return static_cast<LlamaGenerator*>(self)->at_work_ && static_cast<LlamaGenerator*>(self)->at_work_->done(); };
    params.abort_callback_data = this;
    context_.reset(llama_init_from_model(model_.get(), params));
    if (!context_) throw Error(Code::kResourceExhausted, "open model '" + options_.name + "': no memory for a context of " + std::to_string(options_.context_tokens) + " tokens; choose a smaller model or less models.context_tokens");
    templates_ = common_chat_templates_init(model_.get(), "");
    batch_ = llama_batch_init(kBatchTokens, 0, 1);
  }
  ~LlamaGenerator() override { llama_batch_free(batch_); }

  GenerateResult Generate(const Context& ctx, const GenerateRequest& request, const OnText& on_text) override {
    const auto started = std::chrono::steady_clock::now();
    if (request.messages.empty()) throw Error(Code::kInvalidArgument, "messages: must hold at least one", "messages");
    auto prompt = MakePrompt(request.messages);
    if (prompt.size() + 1 > options_.context_tokens)
      throw Error(Code::kInvalidArgument, "the prompt has " + std::to_string(prompt.size()) + " tokens, '" + options_.name + "' reads " + std::to_string(options_.context_tokens) + " with its answer; shorten it", "messages");
    const auto grammar = request.schema ? MakeGrammar(*request.schema) : nullptr;
    const Turnstile::Pass pass(gate_, ctx);
    at_work_ = &ctx;
    struct Reset {
      const Context*& at_work;
      ~Reset() { at_work = nullptr; }
    } const reset{at_work_};
    GenerateResult result;
    result.usage.prompt_tokens = static_cast<std::uint32_t>(prompt.size());
    result.usage.cached_tokens = static_cast<std::uint32_t>(Reuse(prompt));
    Prefill(ctx, prompt);
    Continue(ctx, request, grammar.get(), on_text, started, prompt, result);
    result.usage.total_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started).count();
    return result;
  }

  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(Tokenize(text, false).size()); }
  std::uint32_t context_tokens() const override { return options_.context_tokens; }
  std::string name() const override { return options_.name; }

 private:
  Tokens Tokenize(std::string_view text, bool parse_special) const {
    Tokens out(text.size() + 8);
    const auto n = llama_tokenize(vocab_, text.data(), static_cast<std::int32_t>(text.size()), out.data(), static_cast<std::int32_t>(out.size()), false, parse_special);
    TENFOLD_CHECK(n >= 0);
    out.resize(static_cast<std::size_t>(n));
    return out;
  }

  /// The template is rendered with stand-ins for the contents, and the pieces are tokenised apart: only the template's own text may be special tokens.
  Tokens MakePrompt(const std::vector<ChatMessage>& messages) const {
    common_chat_templates_inputs inputs;
    inputs.use_jinja = true;
    inputs.add_generation_prompt = true;
    inputs.enable_thinking = false;
    const auto stand_in = [](std::size_t i) { return "\x01" "content" + std::to_string(i) + "\x02"; };
    for (std::size_t i = 0; i < messages.size(); ++i) {
      common_chat_msg message;
      message.role = messages[i].role;
      message.content = stand_in(i);
      inputs.messages.push_back(std::move(message));
    }
    std::string rendered;
    try {
      rendered = common_chat_templates_apply(templates_.get(), inputs).prompt;
    } catch (const std::exception& e) {
      throw Error(Code::kInvalidArgument, "messages: the chat template of '" + options_.name + "' refuses them: " + e.what(), "messages");
    }
    Tokens out;
    if (llama_vocab_get_add_bos(vocab_)) out.push_back(llama_vocab_bos(vocab_));
    std::size_t at = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      const auto mark = stand_in(i);
      const auto found = rendered.find(mark, at);
      if (found == std::string::npos) throw Error(Code::kInvalidArgument, "messages: the chat template of '" + options_.name + "' leaves out message " + std::to_string(i), "messages");
      for (const auto token : Tokenize(std::string_view(rendered).substr(at, found - at), true)) out.push_back(token);
      for (const auto token : Tokenize(messages[i].content, false)) out.push_back(token);
      at = found + mark.size();
    }
    for (const auto token : Tokenize(std::string_view(rendered).substr(at), true)) out.push_back(token);
    // A template may begin with the token that the vocabulary would add.
    if (out.size() > 1 && out[0] == llama_vocab_bos(vocab_) && out[1] == out[0]) out.erase(out.begin());
    return out;
  }

  std::unique_ptr<llama_sampler, FreeSampler> MakeGrammar(const Json& schema) const {
    std::string grammar;
    try {
      grammar = json_schema_to_grammar(common_json::parse(ToText(schema)), true);
    } catch (const std::exception& e) {
      throw Error(Code::kInvalidArgument, std::string("the JSON Schema cannot be enforced: ") + e.what(), "response_format");
    }
    auto* sampler = llama_sampler_init_grammar(vocab_, grammar.c_str(), "root");
    if (!sampler) throw Error(Code::kInvalidArgument, "the JSON Schema cannot be enforced", "response_format");
    return std::unique_ptr<llama_sampler, FreeSampler>(sampler);
  }

  llama_memory_t memory() const { return llama_get_memory(context_.get()); }

  /// Brings the context to the longest known beginning of `prompt`; returns its length. At least the last token is left to compute.
  std::size_t Reuse(const Tokens& prompt) {
    std::size_t live = std::min(CommonPrefix(live_, prompt), prompt.size() - 1);
    const auto [entry, length] = prefixes_.Find(prompt);
    if (entry && std::min(length, prompt.size() - 1) > live + kWorthLoading) {
      llama_memory_clear(memory(), false);
      live_.clear();
      if (llama_state_seq_set_data(context_.get(), entry->state.data(), entry->state.size(), 0) > 0) {
        live_ = entry->tokens;
        live = std::min(length, prompt.size() - 1);
      } else {
        live = 0;
      }
    }
    CutTo(live);
    return live;
  }

  void CutTo(std::size_t length) {
    if (live_.size() > length && !llama_memory_seq_rm(memory(), 0, static_cast<llama_pos>(length), -1)) {
      llama_memory_clear(memory(), false);
      live_.clear();
      return;
    }
    live_.resize(std::min(live_.size(), length));
  }

  /// Computes `tokens` behind what is live. Logits of the last one, or of all of them.
  void Decode(const Context& ctx, std::span<const llama_token> tokens, bool all_logits) {
    for (std::size_t at = 0; at < tokens.size(); at += kBatchTokens) {
      ctx.Check();
      const auto n = std::min<std::size_t>(kBatchTokens, tokens.size() - at);
      batch_.n_tokens = static_cast<std::int32_t>(n);
      for (std::size_t i = 0; i < n; ++i) {
        batch_.token[i] = tokens[at + i];
        batch_.pos[i] = static_cast<llama_pos>(live_.size() + i);
        batch_.n_seq_id[i] = 1;
        batch_.seq_id[i][0] = 0;
        batch_.logits[i] = all_logits || at + i + 1 == tokens.size();
      }
      const auto rc = llama_decode(context_.get(), batch_);
      if (rc != 0) {
        // What was half computed is thrown away with all else: the next request starts clean.
        llama_memory_clear(memory(), false);
        live_.clear();
        ctx.Check();
        throw Error(rc == 1 ? Code::kResourceExhausted : Code::kInternal, "the model '" + options_.name + "' could not compute (code " + std::to_string(rc) + ")");
      }
      live_.insert(live_.end(), tokens.begin() + static_cast<std::ptrdiff_t>(at), tokens.begin() + static_cast<std::ptrdiff_t>(at + n));
    }
  }

  void Prefill(const Context& ctx, const Tokens& prompt) {
    Decode(ctx, std::span(prompt).subspan(live_.size()), false);
    if (prompt.size() < kWorthKeeping || prefixes_.Holds(prompt)) return;
    std::vector<std::uint8_t> state(llama_state_seq_get_size(context_.get(), 0));
    if (state.size() > options_.prefix_cache_bytes / 2) return;
    state.resize(llama_state_seq_get_data(context_.get(), state.data(), state.size(), 0));
    prefixes_.Keep(prompt, std::move(state));
  }

  llama_token Greedy(std::int32_t index) const {
    const float* logits = llama_get_logits_ith(context_.get(), index);
    return static_cast<llama_token>(std::max_element(logits, logits + llama_vocab_n_tokens(vocab_)) - logits);
  }

  /// The next token by the request's temperature and grammar.
  llama_token Sample(std::int32_t index, const GenerateRequest& request, llama_sampler* grammar, llama_sampler* chain) {
    if (!grammar && request.temperature <= 0) return Greedy(index);
    const float* logits = llama_get_logits_ith(context_.get(), index);
    const auto n = static_cast<std::size_t>(llama_vocab_n_tokens(vocab_));
    if (grammar && request.temperature <= 0) {
      // Mostly the likeliest token is allowed: asking about one costs nothing beside asking about all.
      llama_token_data one{Greedy(index), 1.0f, 0.0f};
      llama_token_data_array single{&one, 1, -1, false};
      llama_sampler_apply(grammar, &single);
      if (one.logit > -INFINITY) return one.id;
    }
    candidates_.resize(n);
    for (std::size_t i = 0; i < n; ++i) candidates_[i] = {static_cast<llama_token>(i), logits[i], 0.0f};
    llama_token_data_array all{candidates_.data(), n, -1, false};
    if (grammar) llama_sampler_apply(grammar, &all);
    if (request.temperature > 0) {
      llama_sampler_apply(chain, &all);
      return all.data[all.selected >= 0 ? all.selected : 0].id;
    }
    return std::max_element(all.data, all.data + all.size, [](const auto& a, const auto& b) { return a.logit < b.logit; })->id;
  }

  /// What probably follows: what followed the same two or three tokens in `source` before. Source: prompt lookup decoding (Saxena, 2023).
  static std::span<const llama_token> Draft(const Tokens& source, const Tokens& written, llama_token next) {
    if (written.empty()) return {};
    for (const std::size_t n : {std::size_t{3}, std::size_t{2}}) {
      if (written.size() + 1 < n || source.size() < n + 1) continue;
      for (std::size_t i = n; i < source.size(); ++i) {
        if (source[i - 1] != next) continue;
        bool same = true;
        for (std::size_t j = 1; j < n && same; ++j) same = source[i - 1 - j] == written[written.size() - j];
        if (same) return std::span(source).subspan(i, std::min<std::size_t>(n == 3 ? kMaxDraft : kMaxDraft / 2, source.size() - i));
      }
    }
    return {};
  }

  void Continue(const Context& ctx, const GenerateRequest& request, llama_sampler* grammar, const OnText& on_text, std::chrono::steady_clock::time_point started, const Tokens& prompt, GenerateResult& result) {
    std::unique_ptr<llama_sampler, FreeSampler> chain;
    if (request.temperature > 0) {
      chain.reset(llama_sampler_chain_init(llama_sampler_chain_default_params()));
      llama_sampler_chain_add(chain.get(), llama_sampler_init_top_k(40));
      llama_sampler_chain_add(chain.get(), llama_sampler_init_top_p(0.95f, 1));
      llama_sampler_chain_add(chain.get(), llama_sampler_init_temp(request.temperature));
      llama_sampler_chain_add(chain.get(), llama_sampler_init_dist(static_cast<std::uint32_t>(request.seed)));
    }
    const bool may_draft = !grammar && request.temperature <= 0;
    Tokens source;
    if (may_draft) {
      source = Tokenize(request.draft_text, false);
      source.insert(source.end(), prompt.begin(), prompt.end());
    }
    TextGate gate(request.stop, on_text);
    Tokens written;
    result.finish_reason = "length";
    auto token = Sample(batch_.n_tokens - 1, request, grammar, chain.get());
    for (;;) {
      if (written.empty()) result.usage.ttft_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - started).count();
      // `token` is chosen but not computed.
      if (llama_vocab_is_eog(vocab_, token)) {
        result.finish_reason = "stop";
        break;
      }
      if (grammar) llama_sampler_accept(grammar, token);
      const bool stopped = gate.Push(PieceOf(token));
      ++result.usage.completion_tokens;
      if (stopped) {
        result.finish_reason = "stop";
        break;
      }
      if (result.usage.completion_tokens >= request.max_tokens || live_.size() + 1 >= options_.context_tokens) break;
      auto draft = may_draft ? Draft(source, written, token) : std::span<const llama_token>();
      draft = draft.first(std::min<std::size_t>({draft.size(), request.max_tokens - result.usage.completion_tokens, options_.context_tokens - live_.size() - 1}));
      written.push_back(token);
      Tokens step{token};
      step.insert(step.end(), draft.begin(), draft.end());
      Decode(ctx, step, true);
      result.usage.drafted_tokens += static_cast<std::uint32_t>(draft.size());
      // Each drafted token stands if the model, having read all before it, would have chosen it too.
      std::size_t agreed = 0;
      token = Sample(0, request, grammar, chain.get());
      bool ended = false;
      while (agreed < draft.size() && token == draft[agreed] && !llama_vocab_is_eog(vocab_, token)) {
        ended = gate.Push(PieceOf(token));
        ++result.usage.completion_tokens;
        written.push_back(token);
        ++agreed;
        if (ended) break;
        token = Greedy(static_cast<std::int32_t>(agreed));
      }
      result.usage.accepted_tokens += static_cast<std::uint32_t>(agreed);
      CutTo(live_.size() - draft.size() + agreed);
      if (ended) {
        result.finish_reason = "stop";
        break;
      }
      if (result.usage.completion_tokens >= request.max_tokens) break;
    }
    result.text = gate.Finish();
  }

  std::string PieceOf(llama_token token) const {
    char piece[256];
    const auto n = llama_token_to_piece(vocab_, token, piece, sizeof piece, 0, false);
    return n > 0 ? std::string(piece, static_cast<std::size_t>(n)) : std::string();
  }

  const LlamaOptions options_;
  std::unique_ptr<llama_model, FreeModel> model_;
  std::unique_ptr<llama_context, FreeContext> context_;
  common_chat_templates_ptr templates_;
  const llama_vocab* vocab_ = nullptr;
  llama_batch batch_{};
  Turnstile gate_;
  // Below: only the request at work.
  PrefixCache prefixes_;
  Tokens live_;  // what the context holds
  std::vector<llama_token_data> candidates_;
  const Context* at_work_ = nullptr;
};

}  // namespace

std::unique_ptr<Generator> OpenLlamaGenerator(const std::filesystem::path& gguf, LlamaOptions options) { return std::make_unique<LlamaGenerator>(gguf, std::move(options)); }

std::filesystem::path PrepareGguf(const Context& ctx, const std::filesystem::path& source, std::string_view format) {
  if (format == "as_is") return source;
  if (format != "q4_0" && format != "q8_0") throw Error(Code::kInvalidArgument, "format: must be q4_0, q8_0 or as_is", "format");
  auto target = source;
  target.replace_extension("." + std::string(format) + ".gguf");
  if (std::filesystem::exists(target)) {
    if (IsUnaltered(target)) return target;
    Log(LogLevel::kWarning, "a prepared model was altered on the disk and is prepared again", {{"file", target.string()}});
  }
  if (!std::filesystem::exists(source)) throw Error(Code::kNotFound, "there is no model file '" + source.string() + "'");
  ctx.Check();
  StartBackend();
  const auto space = std::filesystem::space(source.parent_path());
  if (space.available < std::filesystem::file_size(source) * 2) throw Error(Code::kResourceExhausted, "prepare model: the disk at '" + source.parent_path().string() + "' has too little room");
  Log(LogLevel::kInfo, "preparing the model for this CPU, once", {{"file", source.filename().string()}, {"format", format}});
  auto params = llama_model_quantize_default_params();
  params.ftype = format == "q4_0" ? LLAMA_FTYPE_MOSTLY_Q4_0 : LLAMA_FTYPE_MOSTLY_Q8_0;
  params.allow_requantize = true;
  const auto part = target.string() + ".part" + std::to_string(::getpid());
  no_memory = false;
  if (llama_model_quantize(source.c_str(), part.c_str(), &params) != 0) {
    std::filesystem::remove(part);
    if (no_memory) throw Error(Code::kResourceExhausted, "prepare model '" + source.string() + "': the memory this process may use is too small for it; choose a smaller model");
    throw Error(Code::kDataLoss, "prepare model: '" + source.string() + "' is not a whole GGUF model; fetch it again with 'tenfold models pull'");
  }
  std::filesystem::rename(part, target);
  std::filesystem::remove(target.string() + ".sha256");
  IsUnaltered(target);  // notes it
  return target;
}

}  // namespace tenfold::models

#endif
