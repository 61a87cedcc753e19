#pragma once
/// \file BERT's tokeniser: clean, isolate ideographs, strip accents, lower the case, split at spaces and punctuation, then WordPiece.
/// Source: Devlin et al., "BERT", 2019; agrees with Hugging Face `tokenizers` (BertNormalizer, BertPreTokenizer, WordPiece), except
/// that text never becomes a special token: "[SEP]" in a document is five characters, not the end of it.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tenfold::models {

/// Immutable once made. Threads: safe.
class WordPiece {
 public:
  /// One token a line; the line number is its id. Errors: kInvalidArgument if [CLS], [SEP] or [UNK] is missing, or more than a million lines.
  explicit WordPiece(std::string_view vocabulary);

  /// [CLS], the text's tokens, [SEP]. More than `max_tokens` are cut, keeping [SEP] last. Bytes that are not UTF-8 are dropped.
  /// Cost: linear; stops reading at the cut.
  std::vector<std::int32_t> Encode(std::string_view text, std::size_t max_tokens) const;
  std::size_t size() const { return size_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  void EncodeWord(std::string_view word, std::size_t characters, std::vector<std::int32_t>& ids) const;

  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  std::size_t size_ = 0;
  std::int32_t cls_ = 0, sep_ = 0, unknown_ = 0;
};

}  // namespace tenfold::models
