#include "app/eval_retrieval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "app/commands.h"
#include "base/files.h"
#include "retrieval/passages.h"

namespace tenfold::app {
namespace {

constexpr const char* kDocuments =
    "<DOC><DOCNO>wing</DOCNO><TITLE>Lift of a wing</TITLE><TEXT>The lift of a swept wing at low speed.</TEXT></DOC>\n"
    "<DOC><DOCNO>heat</DOCNO><TITLE>Heat</TITLE><TEXT>Heat conduction in a composite slab.</TEXT></DOC>\n"
    "<DOC><DOCNO>jet</DOCNO><TITLE>Jets</TITLE><TEXT>The noise of a jet, and the lift of a wing in its stream.</TEXT></DOC>\n"
    "<DOC><DOCNO>empty</DOCNO><TITLE></TITLE><TEXT></TEXT></DOC>\n";

/// A vector by a text's letters: enough of an embedder to rank by, and it counts what it is asked.
class LetterEmbedder : public models::Embedder {
 public:
  std::vector<std::vector<float>> Embed(const Context&, std::span<const std::string> texts, models::EmbedKind) override {
    std::vector<std::vector<float>> out;
    for (const auto& text : texts) {
      ++embedded;
      std::vector<float> vector(26, 0.01f);
      for (const char c : text)
        if (c >= 'a' && c <= 'z') ++vector[static_cast<std::size_t>(c - 'a')];
      float sum = 0;
      for (const float x : vector) sum += x * x;
      for (float& x : vector) x /= std::sqrt(sum);
      out.push_back(std::move(vector));
    }
    return out;
  }
  std::uint32_t dim() const override { return 26; }
  std::uint32_t max_tokens() const override { return 256; }
  std::string name() const override { return "openai:http://host/v1#letters"; }
  std::uint32_t CountTokens(std::string_view text) override { return static_cast<std::uint32_t>(text.size() / 4 + 2); }
  int embedded = 0;
};

class EvalRetrieval : public testing::Test {
 protected:
  EvalRetrieval() : services_(folder_.path() / "home", {}, WithModels::kNo) {}
  std::filesystem::path Write(const std::string& name, const std::string& text) {
    const auto path = folder_.path() / name;
    WriteFileAtomically(path, text);
    return path;
  }
  RetrievalReport Run(const EvalRetrievalRequest& request) {
    return EvaluateRetrieval(services_, ctx_, request, [&](std::string_view line) { said_ += line; });
  }
  Code CodeOf(const EvalRetrievalRequest& request) {
    try {
      Run(request);
    } catch (const Error& e) {
      message_ = e.message();
      return e.code();
    }
    ADD_FAILURE() << "was not refused";
    return Code::kInternal;
  }
  void Store(const std::string& uri, const std::string& label, const std::string& text) {
    const retrieval::Document document{.id = "id-" + uri, .source = "s", .uri = uri, .title = uri, .label = label, .media_type = "text/plain", .content_hash = {}, .text = text};
    const auto tools = services_.generations.LiveTools();
    services_.store->Write(ctx_, [&](data::WriteTx& tx) {
      tx.Put(document);
      for (const auto& chunk : retrieval::MakeChunks(document, tools)) tx.Put(chunk);
    });
  }
  const TemporaryFolder folder_;
  Services services_;
  const Context ctx_ = Context::System("test");
  std::string said_, message_;
};

TEST_F(EvalRetrieval, ScoresACollectionAsByHand) {
  const auto report = Run({.topics = Write("topics", "1\tlift of a wing\n2\theat conduction\n3\tnot judged\n4\tjudged as bad\n"), .qrels = Write("qrels", "1 0 jet 1\n1 0 gone 1\n2 0 heat 2\n4 0 heat 0\n"), .documents = Write("docs", kDocuments), .questions = {}, .user = {}});
  EXPECT_EQ(report.documents, 3);  // the empty one cannot be found
  EXPECT_EQ(report.passages, 3);
  EXPECT_EQ(report.topics, 2);
  EXPECT_EQ(report.topics_without_judgement, 2);
  EXPECT_EQ(report.judged_but_missing, 1);
  EXPECT_NE(said_.find("1 judgements name documents that are not there"), std::string::npos);
  EXPECT_EQ(report.embedder, "");
  ASSERT_EQ(report.stages.size(), 1u);
  const auto& words = report.stages[0];
  EXPECT_EQ(words.name, "words");
  // Topic 1: "wing" stands before "jet", of two relevant ones the other is not there; topic 2: right.
  const double first = (1 / std::log2(3.0)) / (1 + 1 / std::log2(3.0));
  EXPECT_EQ(report.per_topic[0].found, (std::vector<std::string>{"wing", "jet"}));
  EXPECT_NEAR(report.per_topic[0].ndcg_10[0], first, 1e-9);
  EXPECT_NEAR(words.ndcg_10.mean, (first + 1) / 2, 1e-9);
  EXPECT_NEAR(words.mrr_10.mean, 0.75, 1e-9);
  EXPECT_NEAR(words.recall_10.mean, 0.75, 1e-9);
  EXPECT_NEAR(words.recall_100.mean, 0.75, 1e-9);
  EXPECT_LE(words.ndcg_10.low, words.ndcg_10.mean);
  EXPECT_EQ(words.default_gain.mean, 0);
  EXPECT_NE(ReportInWords(report).find("2 topics, 3 documents in 3 passages, words alone"), std::string::npos);
}

TEST_F(EvalRetrieval, AsksTheHomesDocumentsAsTheUserWhoMayNotReadAll) {
  Store("open.md", "public", "the lift of a wing");
  Store("secret.md", "internal", "the lift of a wing, in secret, lift and wing");
  services_.accounts->AddUser(ctx_, {"ana@example.com", "Ana", "customer", "", "", 0});
  EvalRetrievalRequest request{.topics = Write("topics", "1\tlift of a wing\n"), .qrels = Write("qrels", "1 0 secret.md 1\n"), .documents = {}, .questions = {}, .user = {}};
  const auto all = Run(request);
  EXPECT_EQ(all.documents, 2);
  ASSERT_EQ(all.stages.size(), 2u);  // words, and what the assistant reads
  EXPECT_EQ(all.stages[0].ndcg_10.mean, 1);
  EXPECT_EQ(all.stages[1].recall_10.mean, 1);
  request.user = "ana@example.com";
  const auto hers = Run(request);
  EXPECT_EQ(hers.per_topic[0].found, std::vector<std::string>{"id-open.md"});
  EXPECT_EQ(hers.stages[0].recall_100.mean, 0);
  EXPECT_EQ(hers.stages[1].recall_100.mean, 0);
  const auto questions = Write("questions.yaml", R"(- {"id": "q1", "kind": "a", "user": "ana@example.com", "question": "lift of a wing", "cite": ["open.md"]})");
  const auto asked = Run({.topics = {}, .qrels = {}, .documents = {}, .questions = questions, .user = {}});
  EXPECT_EQ(asked.per_topic[0].id, "q1");
  EXPECT_EQ(asked.per_topic[0].found, std::vector<std::string>{"id-open.md"});
  EXPECT_EQ(asked.stages[0].mrr_10.mean, 1);
}

TEST_F(EvalRetrieval, RefusesWhatDoesNotGoTogether) {
  const auto topics = Write("topics", "1\tlift\n"), qrels = Write("qrels", "7 0 wing 1\n"), docs = Write("docs", kDocuments);
  EXPECT_EQ(CodeOf({}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({.topics = topics, .qrels = {}, .documents = {}, .questions = {}, .user = {}}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({.topics = topics, .qrels = qrels, .documents = {}, .questions = topics, .user = {}}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({.topics = topics, .qrels = qrels, .documents = docs, .questions = {}, .user = "ana@example.com"}), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf({.topics = topics, .qrels = qrels, .documents = docs, .questions = {}, .user = {}}), Code::kFailedPrecondition);
  EXPECT_NE(message_.find("same collection"), std::string::npos);
  EXPECT_EQ(CodeOf({.topics = folder_.path() / "none", .qrels = qrels, .documents = docs, .questions = {}, .user = {}}), Code::kNotFound);
  EXPECT_EQ(CodeOf({.topics = topics, .qrels = Write("bad", "1 0 wing yes\n2 0 wing no\n"), .documents = docs, .questions = {}, .user = {}}), Code::kInvalidArgument);
  EXPECT_NE(message_.find("bad:2"), std::string::npos);
}

TEST_F(EvalRetrieval, AndExplainedSearchAreCommands) {
  Store("open.md", "public", "the lift of a wing");
  Store("drag.md", "public", "the drag of a wing");
  const auto topics = Write("topics", "1\tlift\n"), qrels = Write("qrels", "1 0 open.md 1\n");
  std::string out, err;
  const auto run = [&](const std::vector<std::string>& arguments) {
    out.clear(), err.clear();
    return RunCommand(ctx_, services_, arguments, [&](CommandOutput kind, std::string_view text) { (kind == CommandOutput::kResult ? out : err) += text; });
  };
  EXPECT_EQ(run({"eval", "retrieval", "--topics", topics, "--qrels", qrels, "--json"}), 0) << err;
  EXPECT_EQ(ParseJson(out).at("stages").at(0).at("ndcg_10").at("mean").to_number<double>(), 1);
  EXPECT_NE(err.find("asked 1 topics: words"), std::string::npos);
  EXPECT_EQ(run({"eval", "retrieval"}), 2);
  EXPECT_NE(err.find("--topics"), std::string::npos);
  EXPECT_EQ(run({"eval"}), 2);
  EXPECT_EQ(run({"eval", "retrieval", "--help"}), 0);
  EXPECT_NE(out.find("--qrels"), std::string::npos);

  EXPECT_EQ(run({"search", "wing lift", "-k", "1", "--explain", "--facet", "uri", "--json"}), 0) << err;
  const auto found = ParseJson(out);
  EXPECT_EQ(found.at("hits").as_array().size(), 1u);
  EXPECT_EQ(found.at("facets").at("uri").as_array().size(), 2u);
  const auto& explanation = found.at("explanation");
  EXPECT_EQ(explanation.at("readable").to_number<int>(), 2);
  EXPECT_EQ(explanation.at("allowed").to_number<int>(), 2);
  EXPECT_EQ(explanation.at("candidates").at(0).at("uri"), "open.md");
  EXPECT_EQ(explanation.at("candidates").at(1).at("why").at("cut"), "k");
  EXPECT_EQ(run({"search", "wing", "--explain", "--filter", R"({"uri": "drag.md"})"}), 0) << err;
  EXPECT_NE(out.find("2 passages may be read, 1 pass the filter, 1 were candidates"), std::string::npos) << out;
  EXPECT_EQ(out.find("open.md"), std::string::npos);
  EXPECT_EQ(run({"search", "wing", "--offset", "1", "--json"}), 0);
  EXPECT_EQ(ParseJson(out).at("hits").as_array().size(), 1u);
  EXPECT_FALSE(ParseJson(out).as_object().contains("explanation"));
  EXPECT_EQ(run({"search", "wing", "--filter", "{uri"}), 2);
  EXPECT_NE(err.find("--filter"), std::string::npos);
  EXPECT_EQ(run({"search", "wing", "-k", "101"}), 2);
}

}  // namespace
}  // namespace tenfold::app
