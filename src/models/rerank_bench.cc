// How long a cross-encoder takes for the head of a list. Usage: rerank_bench FOLDER [PRECISION] [PASSAGES] [WORDS] [REPEATS] [THREADS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "models/bert_reranker.h"

int main(int argc, char** argv) {
  using namespace tenfold;
  if (argc < 2) return std::fprintf(stderr, "usage: %s FOLDER [fp32|bf16|int8] [PASSAGES] [WORDS] [REPEATS] [THREADS]\n", argv[0]), 2;
  const std::string precision = argc > 2 ? argv[2] : "int8";
  const int passages = argc > 3 ? std::atoi(argv[3]) : 20, words = argc > 4 ? std::atoi(argv[4]) : 90, repeats = argc > 5 ? std::atoi(argv[5]) : 10;
  const auto model = models::OpenBertReranker(argv[1], {.precision = precision == "fp32" ? models::Precision::kFloat32 : precision == "bf16" ? models::Precision::kBfloat16 : models::Precision::kInt8,
                                                           .threads = argc > 6 ? static_cast<std::uint32_t>(std::atoi(argv[6])) : 1});
  std::vector<std::string> texts;
  for (int i = 0; i < passages; ++i) {
    texts.emplace_back();
    for (int word = 0; word < words; ++word) texts.back() += word % 7 == i % 7 ? "refund " : word % 3 ? "order " : "shipping ";
  }
  std::vector<double> took;
  std::vector<float> scores;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    scores = model->Score(Context::System("bench"), "how long does a refund take", texts);
    took.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
  }
  std::sort(took.begin(), took.end());
  std::printf("%s %d passages of %d words: median %.1f ms, best %.1f ms; first score %.6f\n", precision.c_str(), passages, words, took[took.size() / 2], took.front(), static_cast<double>(scores.at(0)));
}
