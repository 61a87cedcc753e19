// The contract of Source, the same for every back end, against real servers. What a back end adds is one line of the list at the end and a fixture in its own
// test file.
#include "data/sources/source_contract.h"

#include <gtest/gtest.h>

#include <set>

#include "base/testing.h"

namespace tenfold::data {

using namespace std::chrono_literals;

namespace {

struct Kind {
  std::string name;
  std::unique_ptr<SourceFixture> (*make)();
};

class SourceContract : public testing::TestWithParam<Kind> {
 protected:
  SourceContract() : place_(GetParam().make()) {
    if (!place_) return;
    for (auto& item : ListAll(ctx_, *place_->Open())) standing_.insert(item.path);
  }

  void SetUp() override {
    if (!place_) GTEST_SKIP() << "its server cannot be had here";
  }

  /// What the test itself has put there, by path; fails on a path named twice.
  std::map<std::string, SourceItem> List(const Context& ctx) {
    std::map<std::string, SourceItem> out;
    for (auto& item : ListAll(ctx, *place_->Open())) {
      CheckItem(item);
      if (standing_.contains(item.path)) continue;
      const auto path = item.path;
      EXPECT_TRUE(out.emplace(path, std::move(item)).second) << path << " is listed twice";
    }
    return out;
  }
  std::map<std::string, SourceItem> List() { return List(ctx_); }

  void CheckItem(const SourceItem& item) {
    EXPECT_FALSE(item.path.empty());
    EXPECT_TRUE(IsUtf8(item.path)) << item.path;
    EXPECT_TRUE(item.problem.empty()) << item.path << ": " << item.problem;
    if (!item.removed) EXPECT_FALSE(item.fingerprint.empty()) << item.path;
    for (const auto& [key, value] : item.metadata) EXPECT_FALSE(value.is_object()) << item.path << ": metadata." << std::string_view(key) << " is not flat";
    if (place_->secret().empty()) return;
    for (const auto& text : {item.path, item.fingerprint, item.title, item.link, ToText(item.metadata)})
      EXPECT_EQ(text.find(place_->secret()), std::string::npos) << text;
  }

  /// The last page's cursor.
  std::string CursorOfWholeListing() {
    const auto source = place_->Open();
    for (std::string page;;) {
      auto got = source->List(ctx_, "", page);
      if (got.next.empty()) return got.cursor;
      EXPECT_TRUE(got.cursor.empty());
      page = got.next;
    }
  }

  std::set<std::string> PutMany(std::size_t n) {
    std::set<std::string> paths;
    for (std::size_t i = 0; i < n; ++i) paths.insert(place_->Put("doc-" + std::to_string(i), "number " + std::to_string(i) + " of many"));
    return paths;
  }

  static std::set<std::string> PathsOf(const std::map<std::string, SourceItem>& items) {
    std::set<std::string> out;
    for (const auto& [path, item] : items) out.insert(path);
    return out;
  }

  const Context ctx_ = Context::System("test").WithTimeout(60s);
  const std::unique_ptr<SourceFixture> place_;
  std::set<std::string> standing_;  // listed before the test put anything
};

TEST_P(SourceContract, ListsWhatIsThereAndReadsIt) {
  const auto tea = place_->Put("tea", "green tea from the south");
  const auto milk = place_->Put("milk", "fresh milk in bottles");
  EXPECT_NE(tea, milk);
  const auto listed = List();
  EXPECT_EQ(PathsOf(listed), (std::set{tea, milk}));
  const auto source = place_->Open();
  EXPECT_NE(source->Read(ctx_, listed.at(tea)).bytes.find("green tea from the south"), std::string::npos);
  const auto content = source->Read(ctx_, listed.at(milk));
  EXPECT_NE(content.bytes.find("fresh milk in bottles"), std::string::npos);
  EXPECT_TRUE(!content.media_type.empty() || milk.find('.') != std::string::npos);
}

TEST_P(SourceContract, TheSourceThatListedReadsToo) {
  const auto tea = place_->Put("tea", "green tea from the south");
  const auto source = place_->Open();
  for (const auto& item : ListAll(ctx_, *source))
    if (item.path == tea) EXPECT_NE(source->Read(ctx_, item).bytes.find("green tea from the south"), std::string::npos);
}

TEST_P(SourceContract, PagesAreCompleteAndUniqueAlsoOverARestart) {
  const auto put = PutMany(std::max<std::size_t>(7, place_->more_than_a_page()));
  EXPECT_EQ(PathsOf(List()), put);
  std::set<std::string> found;
  std::size_t pages = 0;
  for (std::string page;;) {
    const auto got = place_->Open()->List(ctx_, "", page);
    ++pages;
    for (const auto& item : got.items)
      if (!standing_.contains(item.path)) EXPECT_TRUE(found.insert(item.path).second) << item.path << " is listed twice";
    if (got.next.empty()) break;
    page = got.next;
    ASSERT_LT(pages, 1000u);
  }
  EXPECT_EQ(found, put);
  if (place_->more_than_a_page() > 0) EXPECT_GT(pages, 1u);
}

TEST_P(SourceContract, TheFingerprintChangesWithTheContentAndOnlyThen) {
  const auto tea = place_->Put("tea", "green tea"), milk = place_->Put("milk", "fresh milk");
  const auto first = List(), second = List();
  if (!place_->documents_change()) {
    EXPECT_EQ(first.at(tea).fingerprint, second.at(tea).fingerprint);
    GTEST_SKIP() << "its documents never change";
  }
  EXPECT_EQ(first.at(tea).fingerprint, second.at(tea).fingerprint);
  EXPECT_EQ(first.at(milk).fingerprint, second.at(milk).fingerprint);
  EXPECT_EQ(place_->Put("tea", "black tea"), tea);  // as long as the green one: a size alone is no fingerprint
  const auto third = List();
  EXPECT_NE(third.at(tea).fingerprint, first.at(tea).fingerprint);
  EXPECT_EQ(third.at(milk).fingerprint, first.at(milk).fingerprint);
  EXPECT_NE(place_->Open()->Read(ctx_, third.at(tea)).bytes.find("black tea"), std::string::npos);
}

TEST_P(SourceContract, WhatIsRemovedIsListedNoMoreAndCannotBeRead) {
  const auto tea = place_->Put("tea", "green tea"), milk = place_->Put("milk", "fresh milk");
  const auto before = List();
  place_->Remove("tea");
  EXPECT_EQ(PathsOf(List()), std::set{milk});
  EXPECT_EQ(CodeOf([&] { place_->Open()->Read(ctx_, before.at(tea)); }), Code::kNotFound);
  EXPECT_NE(place_->Open()->Read(ctx_, before.at(milk)).bytes.find("fresh milk"), std::string::npos);
}

TEST_P(SourceContract, ACursorListsWhatChangedSince) {
  const auto tea = place_->Put("tea", "green tea"), milk = place_->Put("milk", "fresh milk"), salt = place_->Put("salt", "coarse salt");
  const auto cursor = CursorOfWholeListing();
  if (cursor.empty()) GTEST_SKIP() << "always listed whole";
  const auto black = place_->Put("tea", "black tea");
  EXPECT_EQ(black == tea, place_->documents_change());
  const auto rice = place_->Put("rice", "long rice");
  place_->Remove("milk");
  std::map<std::string, SourceItem> changed;
  const auto source = place_->Open();
  std::string page;
  do {
    auto got = source->List(ctx_, cursor, page);
    for (auto& item : got.items) {
      CheckItem(item);
      changed[item.path] = item;
    }
    page = got.next;
    if (page.empty()) EXPECT_FALSE(got.cursor.empty());
  } while (!page.empty());
  ASSERT_TRUE(changed.contains(black));
  ASSERT_TRUE(changed.contains(rice));
  EXPECT_EQ(changed.at(black).fingerprint, List().at(black).fingerprint);
  if (black != tea && place_->changes_name_removed()) EXPECT_TRUE(changed.contains(tea) && changed.at(tea).removed);
  EXPECT_FALSE(changed.at(rice).removed);
  if (place_->changes_name_removed()) EXPECT_TRUE(changed.contains(milk) && changed.at(milk).removed);
  if (changed.contains(milk)) EXPECT_TRUE(changed.at(milk).removed);
  EXPECT_NE(source->Read(ctx_, changed.at(black)).bytes.find("black tea"), std::string::npos);
}

TEST_P(SourceContract, AccessChangesWithoutTheContent) {
  const auto tea = place_->Put("tea", "green tea"), milk = place_->Put("milk", "fresh milk");
  const auto before = List();
  if (!place_->ChangeAccess("tea")) GTEST_SKIP() << "does not say who may read";
  const auto after = List();
  EXPECT_NE(after.at(tea).access, before.at(tea).access);
  EXPECT_EQ(after.at(tea).fingerprint, before.at(tea).fingerprint);
  EXPECT_EQ(after.at(milk).access, before.at(milk).access);
}

TEST_P(SourceContract, AListingThatFailsThrowsRatherThanReturnsLess) {
  PutMany(3);
  place_->Break();
  const auto code = CodeOf([&] { ListAll(ctx_, *place_->Open()); });
  EXPECT_TRUE(code == Code::kNotFound || code == Code::kUnavailable || code == Code::kPermissionDenied || code == Code::kUnauthenticated ||
              code == Code::kResourceExhausted)
      << CodeName(code);
  place_->Mend();
  EXPECT_EQ(List().size(), 3u);
}

TEST_P(SourceContract, AListingThatFailsInItsMiddleThrowsToo) {
  const auto put = PutMany(std::max<std::size_t>(3, place_->more_than_a_page()));
  if (!place_->BreakAfterFirstPage()) GTEST_SKIP() << "one page";
  const auto source = place_->Open();
  const auto first = source->List(ctx_, "", "");
  ASSERT_FALSE(first.next.empty());
  EXPECT_NE(CodeOf([&] {
              for (auto page = first.next; !page.empty();) page = source->List(ctx_, "", page).next;
            }),
            Code::kInternal);
  place_->Mend();
  // The page that failed is still good.
  std::set<std::string> found;
  for (const auto& item : first.items) found.insert(item.path);
  for (auto page = first.next; !page.empty();) {
    const auto got = source->List(ctx_, "", page);
    for (const auto& item : got.items) found.insert(item.path);
    page = got.next;
  }
  for (const auto& path : put) EXPECT_TRUE(found.contains(path)) << path;
}

TEST_P(SourceContract, OnePlaceHasOneUrlWithoutSecrets) {
  const auto url = place_->Open()->url();
  EXPECT_NE(url.find(':'), std::string::npos);
  for (const auto& other : place_->OpenOtherSpellings()) EXPECT_EQ(other->url(), url);
  if (!place_->secret().empty()) EXPECT_EQ(url.find(place_->secret()), std::string::npos);
}

TEST_P(SourceContract, NoMessageHoldsTheSecret) {
  if (place_->secret().empty()) GTEST_SKIP() << "has none";
  place_->Put("tea", "green tea");
  place_->Break();
  try {
    ListAll(ctx_, *place_->Open());
    ADD_FAILURE() << "a broken source lists";
  } catch (const Error& e) {
    EXPECT_EQ(e.message().find(place_->secret()), std::string::npos) << e.message();
  }
}

TEST_P(SourceContract, CancellationAndDeadlineAreHonoured) {
  const auto tea = place_->Put("tea", "green tea");
  const auto item = List().at(tea);
  const auto cancellation = std::make_shared<Cancellation>();
  cancellation->Cancel();
  const auto cancelled = ctx_.WithCancellation(cancellation), late = ctx_.WithTimeout(0s);
  EXPECT_EQ(CodeOf([&] { ListAll(cancelled, *place_->Open()); }), Code::kCancelled);
  EXPECT_EQ(CodeOf([&] { ListAll(late, *place_->Open()); }), Code::kDeadlineExceeded);
  EXPECT_EQ(CodeOf([&] { place_->Open()->Read(cancelled, item); }), Code::kCancelled);
  EXPECT_EQ(CodeOf([&] { place_->Open()->Read(late, item); }), Code::kDeadlineExceeded);
}

TEST_P(SourceContract, AServerThatStallsCostsNoMoreThanTheDeadline) {
  const auto tea = place_->Put("tea", "green tea");
  const auto item = List().at(tea);
  const auto source = place_->Open();  // opened while it answers: opening may need a connection
  if (!place_->Stall()) GTEST_SKIP() << "has no server";
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_.WithTimeout(300ms), *source); }), Code::kDeadlineExceeded);
  EXPECT_EQ(CodeOf([&] { source->Read(ctx_.WithTimeout(300ms), item); }), Code::kDeadlineExceeded);
  const auto cancellation = std::make_shared<Cancellation>();
  std::thread later([&] {
    std::this_thread::sleep_for(100ms);
    cancellation->Cancel();
  });
  EXPECT_EQ(CodeOf([&] { ListAll(ctx_.WithCancellation(cancellation), *source); }), Code::kCancelled);
  later.join();
  place_->Mend();
  EXPECT_EQ(List().size(), 1u);
}

// The list: one line a back end.
const Kind kKinds[] = {
    {"folder", MakeFolderFixture},
    {"postgresql", MakePostgresqlFixture},
    {"mongodb", MakeMongodbFixture},
    {"s3_moto", MakeMotoFixture},
    {"s3_versity", MakeVersityFixture},
    {"imap", MakeImapFixture},
    {"web", MakeWebFixture},
    {"github", MakeGithubFixture},
    {"github_issues", MakeGithubIssuesFixture},
    {"notion", MakeNotionFixture},
    {"openapi", MakeOpenapiFixture},
};
INSTANTIATE_TEST_SUITE_P(Backends, SourceContract, testing::ValuesIn(kKinds), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace tenfold::data
