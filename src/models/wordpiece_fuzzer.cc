// The tokenizer on any bytes: ids are in the vocabulary and the cut holds.
#include "models/wordpiece.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const tenfold::models::WordPiece tokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\nhello\n##lo\n,\n.\n");
  const auto ids = tokenizer.Encode({reinterpret_cast<const char*>(data), size}, 64);
  if (ids.size() < 2 || ids.size() > 64) __builtin_trap();
  for (const auto id : ids)
    if (id < 0 || static_cast<std::size_t>(id) >= tokenizer.size()) __builtin_trap();
  return 0;
}
