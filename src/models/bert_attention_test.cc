#include "models/bert_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/bert_testing.h"

namespace tenfold::models {
namespace {

TEST(BertAttention, EqualsItsDefinition) {
  for (const auto& [width, heads] : {std::pair<std::size_t, std::size_t>{64, 2}, {96, 1}, {30, 2}, {9, 3}, {128, 2}})
    for (const std::size_t length : {1u, 2u, 15u, 33u, 70u}) {
      const std::size_t head_width = width / heads;
      const auto in = RandomFloats(length * 3 * width, static_cast<unsigned>(length));
      AttentionScratch scratch;
      for (const auto& [precision, tolerance] : {std::pair{Precision::kFloat32, 1e-5}, {Precision::kInt8, 0.04}}) {
        std::vector<float> out(length * width);
        Attend(in.data(), length, width, heads, precision, out.data(), scratch);
        for (std::size_t t = 0; t < length; ++t)
          for (std::size_t h = 0; h < heads; ++h) {
            std::vector<double> weights(length);
            double sum = 0;
            for (std::size_t k = 0; k < length; ++k) {
              double score = 0;
              for (std::size_t i = 0; i < head_width; ++i)
                score += static_cast<double>(in[t * 3 * width + h * head_width + i]) * in[k * 3 * width + width + h * head_width + i];
              sum += weights[k] = std::exp(score / std::sqrt(static_cast<double>(head_width)));
            }
            for (std::size_t i = 0; i < head_width; ++i) {
              double expected = 0;
              for (std::size_t k = 0; k < length; ++k) expected += weights[k] / sum * in[k * 3 * width + 2 * width + h * head_width + i];
              ASSERT_NEAR(out[t * width + h * head_width + i], expected, tolerance) << width << " " << heads << " " << length;
            }
          }
      }
    }
}

}  // namespace
}  // namespace tenfold::models
