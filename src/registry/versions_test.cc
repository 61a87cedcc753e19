#include "registry/versions.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "base/testing.h"

namespace tenfold::registry {
namespace {

class RegistryTest : public testing::Test {
 protected:
  RegistryTest() { Open(); }
  ~RegistryTest() override { store_.reset(); }
  void Open() {
    store_.reset();
    registry_.reset();
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), Registry::Tables());
    registry_ = std::make_unique<Registry>(*store_, [this](data::WriteTx&, const Context&, std::string_view action, std::string_view) { audited_.emplace_back(action); });
  }
  TemporaryFolder folder_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<data::Store> store_;
  std::vector<std::string> audited_;
  Context ctx_ = Context::System("test");
};

TEST_F(RegistryTest, TheSamePartsAreTheSameVersion) {
  agents::AssistantConfig config;
  const auto first = registry_->Put(ctx_, config, "one");
  EXPECT_EQ(registry_->Put(ctx_, config, "again"), first);
  config.prompt.name = "Other";
  EXPECT_NE(registry_->Put(ctx_, config, "two"), first);
  EXPECT_EQ(registry_->List(ctx_).size(), 2u);
  // Only the prompt differs: the other five parts are kept once.
  EXPECT_EQ(store_->Read(ctx_, [](data::ReadTx& tx) { return tx.Count<VersionPart>(); }), 7);
}

TEST_F(RegistryTest, AnAliasMovesAndGoesBack) {
  agents::AssistantConfig config;
  const auto one = registry_->Put(ctx_, config, "");
  config.model.max_tokens = 99;
  const auto two = registry_->Put(ctx_, config, "");
  registry_->Promote(ctx_, kLive, one, "first");
  registry_->Promote(ctx_, kLive, two.substr(0, 8), "better");
  EXPECT_EQ(registry_->Resolve(kLive)->version, two);
  EXPECT_EQ(registry_->Resolve(kLive)->config.model.max_tokens, 99u);
  registry_->Rollback(ctx_, kLive);
  EXPECT_EQ(registry_->Resolve(kLive)->version, one);
  EXPECT_EQ(registry_->History(ctx_, kLive).size(), 3u);
  EXPECT_EQ(audited_.size(), 5u);
  Open();
  EXPECT_EQ(registry_->Resolve(kLive)->version, one);
  EXPECT_EQ(registry_->Resolve(two)->config.model.max_tokens, 99u);
}

TEST_F(RegistryTest, RefusesWhatCannotBe) {
  EXPECT_EQ(CodeOf([&] { registry_->Resolve(kLive); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { registry_->Promote(ctx_, kLive, "abcdef", ""); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { registry_->Rollback(ctx_, kLive); }), Code::kFailedPrecondition);
  const auto one = registry_->Put(ctx_, {}, "");
  registry_->Promote(ctx_, kLive, one, "");
  EXPECT_EQ(CodeOf([&] { registry_->Promote(ctx_, kLive, one, ""); }), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace tenfold::registry
