#include "retrieval/grounding.h"

#include <gtest/gtest.h>

#include "retrieval/chunker.h"
#include "retrieval/retriever.h"

namespace tenfold::retrieval {
namespace {

const std::vector<std::string> kSources{"Returning an item\nItems can be returned within 60 days of delivery. Opened climbing ropes cannot be returned.", "Shipping\nExpress delivery to France costs 17.90 EUR. Order by 14:00, Monday to Friday."};

TEST(Grounding, SupportsWhatTheSourceSays) {
  const auto found = ScoreGrounding("You can return items within 60 days of delivery [1].", kSources);
  ASSERT_EQ(found.sentences.size(), 1u);
  EXPECT_TRUE(found.sentences[0].supported);
  EXPECT_EQ(found.sentences[0].source, 0);
  EXPECT_EQ(found.score, 1);
}

TEST(Grounding, AWrongNumberIsNotSupported) {
  EXPECT_EQ(ScoreGrounding("Items can be returned within 90 days of delivery.", kSources).score, 0);
  EXPECT_EQ(ScoreGrounding("Express delivery to France costs 12.90 EUR.", kSources).score, 0);
  EXPECT_EQ(ScoreGrounding("Items can be returned within sixty days of delivery.", kSources).score, 1);
}

TEST(Grounding, ANegationFromNowhereIsNotSupported) {
  EXPECT_EQ(ScoreGrounding("Express delivery to France is not possible.", std::vector<std::string>{"Express delivery to France is possible and costs 17.90 EUR."}).score, 0);
}

TEST(Grounding, WhatNoSourceSaysIsNotSupported) {
  const auto found = ScoreGrounding("Kayaks are rented in Lyon. Opened climbing ropes cannot be returned.", kSources);
  ASSERT_EQ(found.sentences.size(), 2u);
  EXPECT_FALSE(found.sentences[0].supported);
  EXPECT_TRUE(found.sentences[1].supported);
  EXPECT_EQ(found.score, 0.5);
}

TEST(Grounding, QuestionsAndCourtesiesAreNoClaims) {
  EXPECT_TRUE(ScoreGrounding("Hello! Shall I get a person to help you?", kSources).sentences.empty());
  EXPECT_EQ(ScoreGrounding("", kSources).score, 1);
}

TEST(ReadSentences, TellsRowsUnderTheirColumnNames) {
  const std::string text = "# Rates\n\nTimes count from dispatch.\n\n| Country | Price | Time |\n|---|---|---|\n| France | €6.90 | 3-4 |\n| Norway | €16.90 | |\n\nDone.";
  const auto sentences = ReadSentences(text, 0, text.size());
  std::vector<std::string> texts;
  for (const auto& one : sentences) texts.push_back(one.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"Times count from dispatch.", "France: Price €6.90; Time 3-4.", "Norway: Price €16.90.", "Done."}));
  // A chunk that begins in mid-table still knows the header.
  const auto row = text.find("| Norway");
  const auto later = ReadSentences(text, row, text.size());
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0].text, "Norway: Price €16.90.");
}

TEST(WithSynonyms, AddsWhatAWordIsAlsoCalled) {
  const std::vector<std::string> groups{"backpack, rucksack", "carrier, courier"};
  EXPECT_EQ(WithSynonyms("How heavy is my Rucksack?", groups), "How heavy is my Rucksack? (backpack)");
  EXPECT_EQ(WithSynonyms("rucksacks are fine", groups), "rucksacks are fine");
  EXPECT_EQ(WithSynonyms("", groups), "");
}

TEST(Quantised, KeepsTheCosineToTwoDigits) {
  std::vector<float> a(384), b(384);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i)) / 14;
    b[i] = std::sin(static_cast<float>(i) + 0.5f) / 14;
  }
  std::vector<std::int8_t> codes;
  AppendQuantised(b, codes);
  float exact = 0;
  for (std::size_t i = 0; i < a.size(); ++i) exact += a[i] * b[i];
  EXPECT_NEAR(DotQuantised(a, codes), exact, 0.01);
}

}  // namespace
}  // namespace tenfold::retrieval
