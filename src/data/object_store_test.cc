// The contract of every ObjectStore. A new back end adds one line to the list at the end.
#include "data/object_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "base/crypto.h"
#include "base/files.h"
#include "base/testing.h"

namespace tenfold::data {
namespace {

struct Backend {
  const char* name;
  std::unique_ptr<ObjectStore> (*open)(const std::filesystem::path& folder);
};

class ObjectStoreTest : public testing::TestWithParam<Backend> {
 protected:
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    objects_->List(ctx_, [&](const std::string& id, std::uint64_t) { ids.push_back(id); });
    std::sort(ids.begin(), ids.end());
    return ids;
  }
  TemporaryFolder folder_;
  std::unique_ptr<ObjectStore> objects_ = GetParam().open(folder_.path());
  Context ctx_ = Context::System("test");
};

TEST_P(ObjectStoreTest, KeepsBytesUnderTheirHashOnceAndOverAReopen) {
  const std::string bytes("a\0b\xff", 4);
  const auto id = objects_->Put(ctx_, bytes);
  EXPECT_EQ(id, Sha256Hex(bytes));
  EXPECT_EQ(objects_->Put(ctx_, bytes), id);
  EXPECT_EQ(objects_->Put(ctx_, ""), Sha256Hex(""));
  EXPECT_EQ(Ids().size(), 2u);
  objects_ = GetParam().open(folder_.path());
  EXPECT_EQ(objects_->Get(ctx_, id, 100), bytes);
  EXPECT_EQ(objects_->Get(ctx_, Sha256Hex(""), 100), "");
  EXPECT_EQ(objects_->SizeOf(ctx_, id), 4u);
}

TEST_P(ObjectStoreTest, KeepsManyAtOnce) {
  std::vector<std::string> bytes;
  for (int i = 0; i < 40; ++i) bytes.push_back("object " + std::to_string(i % 30));
  bytes.emplace_back();
  const std::vector<std::string_view> views(bytes.begin(), bytes.end());
  objects_->Put(ctx_, bytes[7]);
  for (int round = 0; round < 2; ++round) {
    const auto ids = objects_->PutAll(ctx_, views);
    ASSERT_EQ(ids.size(), views.size());
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], Sha256Hex(bytes[i]));
    EXPECT_EQ(Ids().size(), 31u);
    objects_ = GetParam().open(folder_.path());
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(objects_->Get(ctx_, ids[i], 100), bytes[i]);
  }
  const std::string_view few[] = {"one", "two"};
  EXPECT_EQ(objects_->PutAll(ctx_, few), (std::vector{Sha256Hex("one"), Sha256Hex("two")}));
  EXPECT_TRUE(objects_->PutAll(ctx_, {}).empty());
}

TEST_P(ObjectStoreTest, TakesBytesPieceByPieceAndGivesRanges) {
  std::string all;
  const auto writer = objects_->Create(ctx_);
  for (int i = 0; i < 1000; ++i) {
    const auto piece = std::to_string(i) + ",";
    writer->Append(piece);
    all += piece;
  }
  const auto id = writer->Commit();
  EXPECT_EQ(objects_->Get(ctx_, id, all.size()), all);
  EXPECT_EQ(objects_->GetRange(ctx_, id, 100, 50), all.substr(100, 50));
  EXPECT_EQ(objects_->GetRange(ctx_, id, all.size() - 3, 50), all.substr(all.size() - 3));
  EXPECT_EQ(objects_->GetRange(ctx_, id, all.size() + 7, 50), "");
  EXPECT_EQ(CodeOf([&] { objects_->Get(ctx_, id, all.size() - 1); }), Code::kResourceExhausted);
}

TEST_P(ObjectStoreTest, WhatIsNotCommittedIsNeverSeen) {
  {
    const auto writer = objects_->Create(ctx_);
    writer->Append("half");
    EXPECT_TRUE(Ids().empty());
  }
  EXPECT_TRUE(Ids().empty());
  EXPECT_EQ(objects_->SizeOf(ctx_, Sha256Hex("half")), std::nullopt);
}

TEST_P(ObjectStoreTest, ForgetsWhatIsDeleted) {
  const auto id = objects_->Put(ctx_, "gone");
  EXPECT_TRUE(objects_->Delete(ctx_, id));
  EXPECT_FALSE(objects_->Delete(ctx_, id));
  EXPECT_EQ(objects_->SizeOf(ctx_, id), std::nullopt);
  EXPECT_EQ(CodeOf([&] { objects_->Get(ctx_, id, 100); }), Code::kNotFound);
  EXPECT_EQ(CodeOf([&] { objects_->GetRange(ctx_, id, 0, 1); }), Code::kNotFound);
  EXPECT_EQ(objects_->Put(ctx_, "gone"), id);
  EXPECT_EQ(objects_->Get(ctx_, id, 100), "gone");
}

TEST_P(ObjectStoreTest, RefusesWhatIsNoId) {
  for (const std::string id : {"", "abc", "../../etc/passwd", "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789"}) {
    EXPECT_EQ(CodeOf([&] { objects_->Get(ctx_, id, 100); }), Code::kInvalidArgument) << id;
    EXPECT_EQ(CodeOf([&] { objects_->GetRange(ctx_, id, 0, 1); }), Code::kInvalidArgument) << id;
    EXPECT_EQ(CodeOf([&] { objects_->SizeOf(ctx_, id); }), Code::kInvalidArgument) << id;
    EXPECT_EQ(CodeOf([&] { objects_->Delete(ctx_, id); }), Code::kInvalidArgument) << id;
  }
}

TEST_P(ObjectStoreTest, HoldsUnderManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const auto same = objects_->Put(ctx_, "same " + std::to_string(i));
        const auto own = objects_->Put(ctx_, std::to_string(t) + " own " + std::to_string(i));
        EXPECT_EQ(objects_->Get(ctx_, same, 100), "same " + std::to_string(i));
        EXPECT_TRUE(objects_->Delete(ctx_, own));
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(Ids().size(), 20u);
}

TEST_P(ObjectStoreTest, StopsWhenItsCallerDoes) {
  const auto late = ctx_.WithTimeout(std::chrono::seconds(-1));
  EXPECT_EQ(CodeOf([&] { objects_->Put(late, "x"); }), Code::kDeadlineExceeded);
  EXPECT_TRUE(Ids().empty());
}

INSTANTIATE_TEST_SUITE_P(Backends, ObjectStoreTest, testing::Values(Backend{"file", OpenFileObjectStore}),
                         [](const auto& tested) { return tested.param.name; });

TEST(FileObjectStore, FindsWhatWasAlteredOnTheDiskAndTidiesWhatACrashLeft) {
  const TemporaryFolder folder;
  const auto ctx = Context::System("test");
  std::string id;
  {
    const auto objects = OpenFileObjectStore(folder.path());
    id = objects->Put(ctx, "as it was");
    std::ofstream(folder.path() / id.substr(0, 2) / id.substr(2)) << "as it is!";
    EXPECT_EQ(CodeOf([&] { objects->Get(ctx, id, 100); }), Code::kDataLoss);
  }
  std::ofstream(folder.path() / "writing" / "object_left") << "half";
  const auto objects = OpenFileObjectStore(folder.path());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "writing"));
}

}  // namespace
}  // namespace tenfold::data
