#include <re2/re2.h>

#include <algorithm>

#include "agents/tool.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "data/records.h"

namespace tenfold::agents {
namespace {

struct GetOrderArguments {
  std::string order_id;
  std::uint32_t latest = 1;
};
TENFOLD_DESCRIBE(GetOrderArguments, (order_id, Length{0, 32}, Doc{"order number such as LF-20417; empty for the newest orders"}), (latest, Range{1, 10}, Doc{"how many of the newest orders, if no number is given"}))

struct OpenTicketArguments {
  std::string subject;
  std::string body;
  std::string order_id;
};
TENFOLD_DESCRIBE(OpenTicketArguments, (subject, Required{}, Length{1, 200}, Doc{"one line"}), (body, Required{}, Length{1, 8192}, Doc{"what the customer wrote"}),
                 (order_id, Length{0, 32}, Doc{"order it is about, if any"}))

std::string FindOrderId(std::string_view message) {
  static const RE2 pattern(R"((?i)\b([A-Z]{2}-\d{4,8})\b)");
  std::string id;
  if (!RE2::PartialMatch(re2::StringPiece(message.data(), message.size()), pattern, &id)) return {};
  std::transform(id.begin(), id.end(), id.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return id;
}

std::string TextOf(const JsonObject& fields, std::string_view name) {
  const auto* value = fields.if_contains(name);
  return value && value->is_string() ? std::string(AsView(value->get_string())) : std::string();
}

Json OrderJson(data::ReadTx& tx, const Principal& reader, const data::Record& order) {
  JsonObject out;
  out["id"] = order.key;
  for (const char* name : {"status", "placed_on", "promised_on", "delivered_on", "carrier", "tracking", "total_eur"})
    if (const auto text = TextOf(order.fields, name); !text.empty()) out[name] = text;
  JsonArray items;
  for (const auto& item : data::FindRecords(tx, reader, "order_items", "order", order.key)) {
    const auto quantity = TextOf(item.fields, "quantity");
    items.push_back(JsonObject{{"product", TextOf(item.fields, "product")}, {"quantity", std::strtoll(quantity.c_str(), nullptr, 10)}, {"price_eur", TextOf(item.fields, "price_eur")}});
  }
  out["items"] = std::move(items);
  return out;
}

/// 2026-11-03 -> 3 November 2026
std::string DateInWords(const std::string& iso) {
  static constexpr const char* kMonths[] = {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"};
  if (iso.size() < 10) return iso;
  const auto month = std::strtoul(iso.substr(5, 2).c_str(), nullptr, 10);
  if (month < 1 || month > 12) return iso;
  return std::to_string(std::strtoul(iso.substr(8, 2).c_str(), nullptr, 10)) + " " + kMonths[month - 1] + " " + iso.substr(0, 4);
}

std::string OrderInWords(const JsonObject& order) {
  const auto status = TextOf(order, "status");
  std::string out = "Order " + TextOf(order, "id") + " of " + DateInWords(TextOf(order, "placed_on"));
  const auto carrier = TextOf(order, "carrier"), tracking = TextOf(order, "tracking"), promised = TextOf(order, "promised_on"), delivered = TextOf(order, "delivered_on");
  if (status == "shipped") out += " has been shipped" + (carrier.empty() ? "" : " with " + carrier) + (tracking.empty() ? "" : ", tracking number " + tracking) + (promised.empty() ? "." : ". It should arrive by " + DateInWords(promised) + ".");
  else if (status == "delivered") out += " was delivered" + (delivered.empty() ? "" : " on " + DateInWords(delivered)) + (carrier.empty() ? "." : " by " + carrier + ".");
  else if (status == "cancelled" || status == "returned") out += " was " + status + ".";
  else out += " is " + status + " and has not been shipped yet" + (promised.empty() ? "." : ". It should arrive by " + DateInWords(promised) + ".");
  std::string items;
  for (const auto& item : order.at("items").get_array()) {
    const auto& fields = item.get_object();
    const auto quantity = fields.at("quantity").to_number<std::int64_t>();
    items += (items.empty() ? "" : ", ") + (quantity > 1 ? std::to_string(quantity) + " × " : "") + TextOf(fields, "product");
  }
  if (!items.empty()) out += " Contents: " + items + (TextOf(order, "total_eur").empty() ? "." : "; total " + TextOf(order, "total_eur") + " EUR.");
  return out;
}

}  // namespace

Tool MakeGetOrder(data::Store& store) {
  Tool tool;
  tool.name = "get_order";
  tool.description = "Looks up the caller's own orders: status, delivery, contents.";
  tool.schema = SchemaOf<GetOrderArguments>();
  tool.examples = {"Where is my order?", "When will my parcel arrive?", "What is the status of my last order?", "Has my order been shipped yet?", "What did I order last time?", "Track my package",
                   "Which items were in my latest order?", "Did my delivery arrive?", "How much did my last order cost?", "Show me my recent orders", "Is my parcel on its way?", "What's the tracking number of my order?"};
  tool.match = [](std::string_view message) -> std::optional<Json> {
    const auto id = FindOrderId(message);
    if (id.empty()) return std::nullopt;
    return JsonObject{{"order_id", id}};
  };
  tool.fill = [](std::string_view message) -> Json {
    static const RE2 several(R"((?i)\b(orders|all my|recent)\b)");
    return JsonObject{{"latest", RE2::PartialMatch(re2::StringPiece(message.data(), message.size()), several) ? 3 : 1}};
  };
  tool.read = MakeRead<GetOrderArguments>([&store](const Context& ctx, const GetOrderArguments& arguments) -> Json {
    return store.Read(ctx, [&](data::ReadTx& tx) -> Json {
      const auto& reader = ctx.principal();
      std::vector<data::Record> orders;
      if (!arguments.order_id.empty()) {
        if (auto order = data::FindRecord(tx, reader, "orders", arguments.order_id)) orders.push_back(std::move(*order));
      } else if (!reader.customer.empty()) {
        orders = data::FindRecords(tx, reader, "orders");
        std::sort(orders.begin(), orders.end(), [](const auto& a, const auto& b) {
          const auto on_a = TextOf(a.fields, "placed_on"), on_b = TextOf(b.fields, "placed_on");
          return on_a != on_b ? on_a > on_b : a.key > b.key;
        });
        if (orders.size() > arguments.latest) orders.resize(arguments.latest);
      }
      JsonObject out{{"found", !orders.empty()}};
      if (!arguments.order_id.empty()) out["asked_for"] = arguments.order_id;
      if (orders.empty()) return out;
      out["order"] = OrderJson(tx, reader, orders.front());
      if (orders.size() > 1) {
        JsonArray more;
        for (std::size_t i = 1; i < orders.size(); ++i) more.push_back(OrderJson(tx, reader, orders[i]));
        out["more"] = std::move(more);
      }
      return out;
    });
  });
  tool.say = [](const Json& output) {
    const auto& fields = output.get_object();
    if (!fields.at("found").get_bool()) {
      const auto id = TextOf(fields, "asked_for");
      return id.empty() ? std::string("I can't find any orders on your account. Shall I get a person to help you?") : "I can't find an order " + id + " on your account. Please check the number, or shall I get a person to help you?";
    }
    auto out = OrderInWords(fields.at("order").get_object());
    if (const auto* more = fields.if_contains("more"))
      for (const auto& order : more->get_array()) out += "\n\n" + OrderInWords(order.get_object());
    return out;
  };
  return tool;
}

Tool MakeOpenTicket(AuditEffect audit) {
  Tool tool;
  tool.name = "open_ticket";
  tool.description = "Opens a ticket so that a person takes over. The customer confirms first.";
  tool.schema = SchemaOf<OpenTicketArguments>();
  tool.examples = {"Please open a ticket", "I want to talk to a person", "Can a human help me?", "I want to make a complaint", "Connect me with customer service", "Please have someone call me back",
                   "File a complaint about my delivery", "I need to speak to an agent", "Create a support request for me", "Get me a person please"};
  const auto fill = [](std::string_view message) -> Json {
    std::string subject(message.substr(0, message.find_first_of("\n")));
    // "Please open a ticket: my tent pole is broken" is about the pole.
    static const RE2 request(R"((?i)^.{0,40}\b(?:ticket|complaint|case|support request)\b\s*(?::|because|about|that|-|–)\s*(.{4,})$)");
    if (std::string about; RE2::FullMatch(subject, request, &about)) subject = about;
    if (subject.size() > 80) {
      auto end = subject.rfind(' ', 77);
      if (end == std::string::npos || end < 40) end = 77;
      subject = std::string(CutUtf8(subject, end)) + "…";
    }
    JsonObject arguments{{"subject", subject}, {"body", message.substr(0, 8000)}};
    if (const auto id = FindOrderId(message); !id.empty()) arguments["order_id"] = id;
    return arguments;
  };
  tool.match = [fill](std::string_view message) -> std::optional<Json> {
    static const RE2 asks(R"((?i)(\b(open|create|file|raise|submit|start|make|log)\s+(me\s+)?(a|an|another|the)?\s*(new\s+)?(support\s+)?(ticket|complaint|case|support request)\b)"
                          R"(|\b(talk|speak|chat)\s+(to|with)\s+(a|an|some|the|your)?\s*(real\s+|actual\s+|live\s+)?(person|human|agent|someone|somebody|supervisor|manager|representative|staff)\b)"
                          R"(|\bget\s+(me\s+)?(a\s+)?(real\s+)?(person|human|someone)\b|\b(call|phone)\s+me\s+back\b|\bconnect me (to|with)\b))");
    // "How do I …" asks about tickets, not for one.
    static const RE2 about(R"((?i)^\s*(how|where|what|when|why|which)\b)");
    const re2::StringPiece text(message.data(), message.size());
    if (!RE2::PartialMatch(text, asks) || RE2::PartialMatch(text, about)) return std::nullopt;
    return fill(message);
  };
  tool.fill = fill;
  tool.act = MakeEffect<OpenTicketArguments>([audit = std::move(audit)](data::WriteTx& tx, const Context& ctx, const OpenTicketArguments& arguments) -> Json {
    data::Record ticket;
    ticket.collection = "tickets";
    // Numbers rise; the count in the same transaction makes them unique, the loop steps over imported ones.
    for (auto number = 10'000 + tx.Count<data::Record>(data::Where("collection", "tickets"));; ++number) {
      ticket.key = "T-" + std::to_string(number);
      ticket.id = "tickets/" + ticket.key;
      if (!tx.Get<data::Record>(ticket.id)) break;
    }
    ticket.owner = ctx.principal().customer;
    ticket.fields = {{"id", ticket.key}, {"customer", ticket.owner}, {"user", ctx.principal().user}, {"order", arguments.order_id}, {"subject", arguments.subject}, {"body", arguments.body},
                     {"status", "open"}, {"created_on", FormatTime(ctx.clock().Now()).substr(0, 10)}};
    tx.Add(ticket);
    audit(tx, ctx, "ticket.open", ticket.key);
    return JsonObject{{"ticket", JsonObject{{"id", ticket.key}, {"subject", arguments.subject}}}};
  });
  tool.say = [](const Json& output) {
    const auto& ticket = output.get_object().at("ticket").get_object();
    return "Ticket " + TextOf(ticket, "id") + " is open: “" + TextOf(ticket, "subject") + "”. A colleague will answer you by e-mail.";
  };
  return tool;
}

}  // namespace tenfold::agents
