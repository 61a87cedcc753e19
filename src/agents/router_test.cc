#include "agents/router.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "data/records.h"

namespace tenfold::agents {
namespace {

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    store_ = data::OpenSqliteStore((folder_.path() / "store.db").string(), {data::TableOf<data::Record>()});
    tools_.push_back(MakeGetOrder(*store_));
    tools_.push_back(MakeOpenTicket([](data::WriteTx&, const Context&, std::string_view, std::string_view) {}));
  }
  Route Decide(std::string_view message, std::vector<std::string> enabled = {"search_knowledge", "get_order", "open_ticket"}) {
    return Router(tools_, nullptr).Decide(Context::System("test"), message, enabled);
  }
  TemporaryFolder folder_;
  std::unique_ptr<data::Store> store_;
  std::vector<Tool> tools_;
};

TEST_F(RouterTest, RulesDecideWhatTheyAreSureOf) {
  EXPECT_EQ(Decide("Hello!").tool, "small_talk");
  EXPECT_EQ(Decide("Thank you very much").tool, "small_talk");
  EXPECT_EQ(Decide("Hello, how long do I have to return something?").tool, "search_knowledge");
  const auto order = Decide("Where is LF-20417?");
  EXPECT_EQ(order.tool, "get_order");
  EXPECT_EQ(order.arguments.get_object().at("order_id"), Json("LF-20417"));
  EXPECT_EQ(Decide("where is lf-20417").arguments.get_object().at("order_id"), Json("LF-20417"));
}

TEST_F(RouterTest, AnEffectComesBeforeALookUp) {
  const auto ticket = Decide("Please open a ticket about LF-20417: the zip is stuck");
  EXPECT_EQ(ticket.tool, "open_ticket");
  EXPECT_EQ(ticket.arguments.get_object().at("order_id"), Json("LF-20417"));
}

TEST_F(RouterTest, AToolThatTheVersionDoesNotHaveIsNeverChosen) {
  EXPECT_EQ(Decide("Please open a ticket about LF-20417", {"search_knowledge", "get_order"}).tool, "get_order");
  EXPECT_EQ(Decide("Where is LF-20417?", {"search_knowledge"}).tool, "search_knowledge");
}

TEST_F(RouterTest, ArgumentsKeepTheirSchema) {
  EXPECT_THROW(tools_[0].read(Context::System("test"), ParseJson(R"({"order_id":7})")), Error);
  EXPECT_THROW(tools_[0].read(Context::System("test"), ParseJson(R"({"latest":0})")), Error);
  EXPECT_THROW(tools_[0].read(Context::System("test"), ParseJson(R"({"customer":"C-1"})")), Error);
}

}  // namespace
}  // namespace tenfold::agents
