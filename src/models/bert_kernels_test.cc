#include "models/bert_kernels.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/bert_testing.h"

namespace tenfold::models {
namespace {

/// Sizes that fill panels, blocks and registers, and sizes that do not.
TEST(BertKernels, ProductsEqualTheirDefinitionInEveryPrecision) {
  for (const std::size_t rows : {1u, 2u, 7u, 12u, 13u, 29u})
    for (const std::size_t inputs : {1u, 3u, 32u, 65u, 130u})
      for (const std::size_t outputs : {1u, 31u, 32u, 70u}) {
        const auto in = RandomFloats(rows * inputs, 1), weights = RandomFloats(outputs * inputs, 2), bias = RandomFloats(outputs, 3);
        // Half a step of a byte, or the ninth bit of a bfloat16, in each of the factors of `inputs` products of about 1.
        const double spread = std::sqrt(static_cast<double>(inputs));
        for (const auto& [precision, tolerance] : {std::pair{Precision::kFloat32, 1e-5}, {Precision::kBfloat16, 0.04}, {Precision::kInt8, 0.1}}) {
          const PackedMatrix packed(weights.data(), outputs, inputs, inputs, 1, precision);
          Inputs prepared;
          prepared.Assign(in.data(), rows, inputs, inputs, precision);
          std::vector<float> out(rows * outputs + 1, -77.0f);
          Multiply(prepared, packed, bias.data(), out.data(), outputs);
          EXPECT_EQ(out.back(), -77.0f);
          for (std::size_t r = 0; r < rows; ++r) {
            std::vector<float> alone(outputs);
            Inputs one;
            one.Assign(in.data() + r * inputs, 1, inputs, inputs, precision);
            Multiply(one, packed, bias.data(), alone.data(), outputs);
            for (std::size_t o = 0; o < outputs; ++o) {
              double sum = bias[o];
              for (std::size_t i = 0; i < inputs; ++i) sum += static_cast<double>(in[r * inputs + i]) * weights[o * inputs + i];
              EXPECT_NEAR(out[r * outputs + o], sum, tolerance * spread) << rows << " " << inputs << " " << outputs;
              EXPECT_EQ(out[r * outputs + o], alone[o]);
            }
          }
        }
      }
}

/// The plain sums are what a CPU without byte products uses; Multiply must give the very sums they give.
TEST(BertKernels, ByteSumsAreExact) {
  constexpr std::size_t kInputs = 384, kRows = 5;
  std::vector<float> in(kRows * kInputs), weights(kPanelColumns * kInputs);
  std::mt19937 random(4);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % kInputs == 2 ? 0u : i % kInputs < 32 ? 255u : random() % 256);  // scale 1, offset 0
  // Step 1: the largest weight is 127. The first run adds up to 255 x 128 in 16 bits, the second to 255 x -128, the most there may be; the others to less.
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::size_t at = i % kInputs, lane = at % 4;
    weights[i] = static_cast<float>(at >= 32 ? static_cast<int>(random() % 25) - 12 : lane > 1 ? 0 : (at < 16 ? 1 : -1) * (at % 16 == 0 ? 127 : at % 16 == 1 ? 1 : 0));
  }
  Inputs prepared;
  prepared.Assign(in.data(), kRows, kInputs, kInputs, Precision::kInt8);
  std::vector<float> out(kRows * kPanelColumns);
  Multiply(prepared, PackedMatrix(weights.data(), kPanelColumns, kInputs, kInputs, 1, Precision::kInt8), nullptr, out.data(), kPanelColumns);
  std::vector<std::uint8_t> bytes(in.begin(), in.end());
  std::vector<std::int8_t> panel(weights.size());
  for (std::size_t c = 0; c < kPanelColumns; ++c)
    for (std::size_t i = 0; i < kInputs; ++i) panel[(i / 4 * kPanelColumns + c) * 4 + i % 4] = static_cast<std::int8_t>(weights[c * kInputs + i]);
  std::vector<std::int32_t> plain(out.size());
  internal::SumBytes(bytes.data(), kInputs, kRows, panel.data(), kInputs, plain.data());
  for (std::size_t r = 0; r < kRows; ++r)
    for (std::size_t c = 0; c < kPanelColumns; ++c) {
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < kInputs; ++i) sum += static_cast<std::int64_t>(in[r * kInputs + i]) * static_cast<std::int64_t>(weights[c * kInputs + i]);
      EXPECT_EQ(plain[r * kPanelColumns + c], sum);
      EXPECT_EQ(out[r * kPanelColumns + c], static_cast<float>(sum));
    }
}

TEST(BertKernels, WeightsOfOneSignDoNotOverflow) {
  constexpr std::size_t kInputs = 400;
  std::vector<float> in(kInputs);
  for (std::size_t i = 0; i < kInputs; ++i) in[i] = i == 7 ? 0.0f : 1.0f;
  for (const float sign : {1.0f, -1.0f}) {
    const std::vector<float> weights(kInputs * 3, sign);
    Inputs prepared;
    prepared.Assign(in.data(), 1, kInputs, kInputs, Precision::kInt8);
    std::vector<float> out(3);
    Multiply(prepared, PackedMatrix(weights.data(), 3, kInputs, kInputs, 1, Precision::kInt8), nullptr, out.data(), 3);
    for (const float x : out) EXPECT_NEAR(x, sign * (kInputs - 1), 0.5f);
  }
}

TEST(BertKernels, AConstantRowAndZeroWeightsAreNoDivisionByZero) {
  const std::vector<float> in(64, 0.25f), zeros(64 * 32, 0.0f);
  Inputs prepared;
  prepared.Assign(in.data(), 1, 64, 64, Precision::kInt8);
  std::vector<float> out(32);
  Multiply(prepared, PackedMatrix(zeros.data(), 32, 64, 64, 1, Precision::kInt8), nullptr, out.data(), 32);
  for (const float x : out) EXPECT_EQ(x, 0);
  const std::vector<float> ones(64 * 32, 1.0f);
  Multiply(prepared, PackedMatrix(ones.data(), 32, 64, 64, 1, Precision::kInt8), nullptr, out.data(), 32);
  for (const float x : out) EXPECT_NEAR(x, 16, 1e-4);
}

TEST(BertKernels, GeluIsNearTheErrorFunction) {
  std::vector<float> x;
  for (int i = -2000; i <= 2000; ++i) x.push_back(static_cast<float>(i) / 200);
  auto exact = x;
  Gelu(exact);
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(exact[i], x[i] / 2 * (1 + std::erf(x[i] / std::sqrt(2.0f))), 2e-6);
  // The narrow form, seen through a product with the identity; one row per value so that the steps of a byte do not hide it.
  for (std::size_t i = 0; i < x.size(); i += 37) {
    float value = x[i];
    Inputs prepared;
    prepared.AssignGelu(&value, 1, 1, Precision::kInt8);
    EXPECT_NEAR(value, exact[i], 1e-4) << x[i];
  }
}

}  // namespace
}  // namespace tenfold::models
