#include "retrieval/trec.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tenfold::retrieval {
namespace {

std::vector<CollectionDocument> Collect(std::string_view file) {
  std::vector<CollectionDocument> out;
  ParseCollection(file, "corpus", [&](CollectionDocument&& one) { out.push_back(std::move(one)); });
  return out;
}

/// The message of the Error that `work` throws, which must have `code`.
std::string Refusal(Code code, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code) << e.message();
    return e.message();
  }
  ADD_FAILURE() << "was not refused";
  return {};
}

TEST(Collection, IsReadFromTrecsDocuments) {
  const auto documents = Collect("<DOC>\n<DOCNO> AP-1 </DOCNO>\n<HEADLINE>Lift &amp; drag</HEADLINE>\n<AUTHOR>x</AUTHOR>\n<TEXT>\n<P>a < b & c</P>\nsecond\n</TEXT>\n<TEXT>more</TEXT>\n</DOC>\n"
                                 "<doc><docno>2</docno><title></title><author></author><text></text></doc>");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].id, "AP-1");
  EXPECT_EQ(documents[0].title, "Lift & drag");
  EXPECT_EQ(documents[0].text, "a < b & c \nsecond\nmore");
  EXPECT_EQ(documents[1].id, "2");
  EXPECT_EQ(documents[1].text, "");
}

TEST(Collection, IsReadFromBeirsLines) {
  const auto documents = Collect("{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"x\\ty\", \"metadata\": {}}\r\n\n{\"id\": 7, \"text\": \"z\"}\n");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].title, "T");
  EXPECT_EQ(documents[0].text, "x\ty");
  EXPECT_EQ(documents[1].id, "7");
}

TEST(Collection, RefusesWhatIsWrongNamingTheLine) {
  EXPECT_EQ(Refusal(Code::kInvalidArgument, [] { Collect("<doc><docno>1</docno></doc>\n\n<doc>\n<docno>1</docno></doc>"); }), "corpus:3: document '1' is there twice");
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("<doc>\n<docno>1</docno>\n<doc>"); }).find("corpus:3: <doc> inside"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("\n<doc><docno>1</docno><text>x"); }).find("corpus:2: <doc> has no end"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("<doc><text>x</text></doc>"); }).find("corpus:1: no id: <docno>"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("{\"_id\": \"1\", \"text\": \"x\"}\n{\"_id\": \"2\","); }).find("corpus:2: "), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("{\"_id\": \"1\", \"text\": [1]}"); }).find("'text' must be a text"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect("id\ttext"); }).find("is no collection"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { Collect(""); }).find("corpus:1"), std::string::npos);
  EXPECT_NE(Refusal(Code::kResourceExhausted, [] { Collect("<doc><docno>1</docno><text>" + std::string(CollectionLimits::kDocumentBytes + 1, 'x') + "</text></doc>"); }).find("limit 4194304"), std::string::npos);
}

TEST(Topics, AreReadInEveryForm) {
  const auto trec = ParseTopics("<top>\n<num> Number: 301 \n<title> Topic: Organized\nCrime\n<desc> Description:\nlong\n</top>\n<top><num>2</num><title>two</title></top>", "topics");
  ASSERT_EQ(trec.size(), 2u);
  EXPECT_EQ(trec[0].id, "301");
  EXPECT_EQ(trec[0].text, "Organized Crime");
  EXPECT_EQ(trec[1].text, "two");
  const auto lines = ParseTopics("1\twhat is lift .\n3\tcaf\xe9\n", "topics");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].text, "what is lift .");
  EXPECT_EQ(lines[1].text, "café");
  const auto json = ParseTopics("{\"_id\": \"q1\", \"text\": \"lift\"}", "topics");
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0].id, "q1");
}

TEST(Topics, RefuseWhatIsWrongNamingTheLine) {
  EXPECT_EQ(Refusal(Code::kInvalidArgument, [] { ParseTopics("1\tone\nno tab here", "t"); }), "t:2: is not a topic: id TAB text");
  EXPECT_EQ(Refusal(Code::kInvalidArgument, [] { ParseTopics("1\tone\n1\ttwo", "t"); }), "t:2: topic '1' is there twice");
  EXPECT_EQ(Refusal(Code::kInvalidArgument, [] { ParseTopics("1\t ", "t"); }), "t:1: topic '1' has no text");
  EXPECT_NE(Refusal(Code::kResourceExhausted, [] { ParseTopics("1\t" + std::string(9000, 'x'), "t"); }).find("limit 8192"), std::string::npos);
}

TEST(Qrels, AreReadWithThreeOrFourColumnsAndAHeader) {
  const auto three = ParseQrels("query-id\tcorpus-id\tscore\n1\td 1\t2\n1\td2\t0\n", "q");
  EXPECT_EQ(three, (Qrels{{"1", {{"d 1", 2}, {"d2", 0}}}}));
  EXPECT_EQ(ParseQrels("1\t184\t1\n1\t29\t1\n", "q"), (Qrels{{"1", {{"184", 1}, {"29", 1}}}}));
  EXPECT_EQ(ParseQrels("301 0 FBIS-1 1\n301\t0\tFBIS-2\t-1\r\n301 0 FBIS-1 1\n", "q"), (Qrels{{"301", {{"FBIS-1", 1}, {"FBIS-2", -1}}}}));
}

TEST(Qrels, RefuseWhatIsWrongNamingTheLine) {
  EXPECT_EQ(Refusal(Code::kInvalidArgument, [] { ParseQrels("1\t2\t1\n1\t2\t0\n", "q"); }), "q:2: document '2' is judged twice for topic '1': 1 and 0");
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { ParseQrels("1\t2\t1\n1\t3\tyes\n", "q"); }).find("q:2: the grade 'yes'"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { ParseQrels("1\t2\t1\n1 0 3 1\n", "q"); }).find("q:2: has 4 columns, the lines before 3"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { ParseQrels("1 2\n", "q"); }).find("q:1: has 2 columns"), std::string::npos);
  EXPECT_NE(Refusal(Code::kInvalidArgument, [] { ParseQrels("a\tb\tc\n", "q"); }).find("holds no judgement"), std::string::npos);
}

}  // namespace
}  // namespace tenfold::retrieval
