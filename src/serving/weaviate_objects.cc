#include "serving/weaviate_objects.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/error.h"

namespace tenfold::serving {
namespace {

using boost::json::string;
using retrieval::Collection;
using retrieval::IndexChange;
using retrieval::IndexRecord;
using Kind = IndexChange::Kind;

constexpr char kBetweenTexts = '\x1e';            // of ASCII, "record separator": no part of a word
constexpr std::string_view kTenants = "$tenants";  // the namespace that lists them; no tenant has a '$'
constexpr std::string_view kAlone = "record 0: ";  // as CheckChanges names the one it is given
constexpr std::size_t kMaxTenantName = 64, kMaxTenants = 100'000;

[[noreturn]] void ThrowNoClass(std::string_view name) { throw Error(Code::kNotFound, "could not find class '" + std::string(name.substr(0, 64)) + "'; GET /v1/schema lists yours", "class"); }

void CheckTenantName(std::string_view name) {
  const auto is_good = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; };
  if (name.empty() || name.size() > kMaxTenantName || !std::all_of(name.begin(), name.end(), is_good)) throw Error(Code::kInvalidArgument, "tenant '" + std::string(name.substr(0, 64)) + "': a name has 1 to 64 letters, digits, '_' and '-'", "tenant");
}

/// Keeps the properties of one object. Errors: kInvalidArgument.
IndexRecord RecordOf(const WeaviateClass& schema, const WeaviateObject& object) {
  IndexRecord record{.id = object.id, .access = std::string(retrieval::kCollectionReaders), .vector = object.vector};
  std::string longs, shorts;
  JsonArray long_names;
  for (const auto& [key, value] : object.properties) {
    if (value.is_null()) continue;
    const auto name = WeaviatePropertyName(key);
    const auto& property = schema.properties.at(name);
    const auto kept = KeepWeaviateValue(property.type, value, name);
    if (!kept) continue;
    const auto add = [&](std::string& to, std::string_view text) {
      to += text;
      to += kBetweenTexts;
    };
    if (const auto* text = kept->if_string(); text && property.type == WeaviateType::kText && property.is_searchable && text->size() > kWeaviateFilteredBytes && AsView(*text).find(kBetweenTexts) == std::string_view::npos) {
      add(longs, AsView(*text));
      long_names.emplace_back(string(name));
      continue;
    }
    if (property.is_searchable) {
      if (kept->is_string()) add(shorts, AsView(kept->get_string()));
      else if (kept->is_array())
        for (const auto& one : kept->get_array()) add(shorts, AsView(one.get_string()));
    }
    record.metadata[name] = *kept;
  }
  record.text = longs + shorts;
  if (!long_names.empty()) record.metadata[kWeaviateTexts] = std::move(long_names);
  record.metadata[kWeaviateId] = object.id;
  record.metadata[kWeaviateCreated] = object.created_ms;
  record.metadata[kWeaviateUpdated] = object.updated_ms;
  return record;
}

WeaviateObject ObjectOf(const WeaviateClass& schema, IndexRecord&& record) {
  WeaviateObject out{.id = std::move(record.id), .vector = std::move(record.vector)};
  const auto whole = [&](std::string_view key) {
    const auto* value = record.metadata.if_contains(key);
    return value && value->is_number() ? value->to_number<std::int64_t>() : 0;
  };
  out.created_ms = whole(kWeaviateCreated);
  out.updated_ms = whole(kWeaviateUpdated);
  if (const auto* names = record.metadata.if_contains(kWeaviateTexts); names && names->is_array()) {
    std::string_view rest = record.text;
    for (const auto& name : names->get_array()) {
      const auto end = std::min(rest.find(kBetweenTexts), rest.size());
      out.properties[AsView(name.as_string())] = string(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  for (const auto& [key, value] : record.metadata)
    if (const auto found = schema.properties.find(std::string_view(key)); found != schema.properties.end()) out.properties[key] = ShowWeaviateValue(found->second.type, value);
  return out;
}

/// Whether its vector may decide the length of all: one that is refused itself may not.
bool CanBeFirst(const IndexRecord& record, retrieval::Metric metric) {
  if (record.vector.empty()) return false;
  const IndexChange change{Kind::kPut, record};
  try {
    retrieval::CheckChanges({&change, 1}, record.vector.size(), metric);
  } catch (const Error&) {
    return false;
  }
  return true;
}

/// What a record is embedded of.
std::string TextOf(const IndexRecord& record) {
  auto text = record.text;
  std::replace(text.begin(), text.end(), kBetweenTexts, '\n');
  return text;
}

}  // namespace

WeaviateClass WeaviateObjects::Create(const Context& ctx, const JsonObject& sent) {
  auto schema = ReadWeaviateClass(sent);
  Collection row{.name = CollectionOfClass(schema.name), .metric = schema.metric, .readers = schema.readers};
  if (schema.embeds) {
    if (!embedder_) throw Error(Code::kFailedPrecondition, "class '" + schema.name + "': this server runs no embedding model; use vectors of your own (vectorizer none)", "vectorizer");
    row.dim = embedder_->dim();
    row.embedder = embedder_id_;
  }
  row.attributes["protocol"] = "weaviate";
  row.attributes["class"] = schema.json;
  try {
    collections_.Create(ctx, std::move(row));
  } catch (const Error& e) {
    if (e.code() != Code::kAlreadyExists) throw;
    throw Error(e.code(), "class name '" + schema.name + "' already exists", "class");
  }
  return schema;
}

std::vector<WeaviateClass> WeaviateObjects::List(const Context& ctx) const {
  std::vector<WeaviateClass> out;
  for (const auto& row : collections_.List(ctx))
    if (auto schema = ClassOfCollection(row)) out.push_back(std::move(*schema));
  return out;
}

Collection WeaviateObjects::Row(const Context& ctx, std::string_view class_name) const {
  std::optional<Collection> row;
  try {
    row = collections_.Find(ctx, CollectionOfClass(class_name));
  } catch (const Error&) {  // no class has such a name
  }
  if (!row) ThrowNoClass(class_name);
  return std::move(*row);
}

WeaviateClass WeaviateObjects::Find(const Context& ctx, std::string_view class_name) const {
  auto schema = ClassOfCollection(Row(ctx, class_name));
  if (!schema) ThrowNoClass(class_name);
  return std::move(*schema);
}

void WeaviateObjects::Delete(const Context& ctx, std::string_view class_name) {
  try {
    Find(ctx, class_name);
  } catch (const Error& e) {
    if (e.code() == Code::kNotFound) return;
    throw;
  }
  collections_.Delete(ctx, CollectionOfClass(class_name));
}

WeaviateClass WeaviateObjects::AddProperty(const Context& ctx, std::string_view class_name, const JsonObject& property) {
  Find(ctx, class_name);
  const auto row = collections_.Configure(ctx, CollectionOfClass(class_name), [&](Collection& one) {
    auto schema = ClassOfCollection(one).value();
    AddWeaviateProperty(schema, property);
    one.attributes["class"] = schema.json;
  });
  return ClassOfCollection(row).value();
}

WeaviateClass WeaviateObjects::Change(const Context& ctx, std::string_view class_name, const JsonObject& sent) {
  const auto now = Find(ctx, class_name);
  const auto asked = ReadWeaviateClass(sent);
  for (const auto& [key, value] : asked.json) {
    const auto* known = now.json.if_contains(key);
    if (key != "description" && key != "multiTenancyConfig" && key != "tenfoldReaders" && !value.is_null() && (!known || *known != value)) throw Error(Code::kUnimplemented, std::string(key) + ": cannot be changed; description, autoTenantCreation, tenfoldReaders and new properties can", std::string(key));
  }
  if (asked.name != now.name || asked.has_tenants != now.has_tenants) throw Error(Code::kUnimplemented, "multiTenancyConfig.enabled: cannot be changed", "multiTenancyConfig");
  const auto row = collections_.Configure(ctx, CollectionOfClass(class_name), [&](Collection& one) {
    auto schema = ClassOfCollection(one).value();
    if (const auto* text = asked.json.if_contains("description")) schema.json["description"] = *text;
    schema.json["multiTenancyConfig"] = asked.json.at("multiTenancyConfig");
    if (const auto* readers = asked.json.if_contains("tenfoldReaders")) {
      schema.json["tenfoldReaders"] = *readers;
      one.readers = asked.readers;
    }
    one.attributes["class"] = schema.json;
  });
  return ClassOfCollection(row).value();
}

OpenWeaviateClass WeaviateObjects::Open(const Context& ctx, std::string_view class_name, std::string_view tenant) const {
  auto row = Row(ctx, class_name);
  auto schema = ClassOfCollection(row);
  if (!schema) ThrowNoClass(class_name);
  if (schema->has_tenants && tenant.empty()) throw Error(Code::kInvalidArgument, "class '" + schema->name + "' has multi-tenancy enabled, but the request names no tenant", "tenant");
  if (!schema->has_tenants && !tenant.empty()) throw Error(Code::kInvalidArgument, "class '" + schema->name + "' has multi-tenancy disabled, but the request names the tenant '" + std::string(tenant.substr(0, 64)) + "'", "tenant");
  auto index = collections_.Open(ctx, row.name);
  if (!tenant.empty()) {
    const std::string name(tenant);
    if (index->Fetch(ctx, kTenants, {&name, 1}).empty()) throw Error(Code::kNotFound, "tenant not found: '" + name.substr(0, 64) + "' of class '" + schema->name + "'", "tenant");
  }
  return {std::move(*schema), std::move(row), std::move(index), std::string(tenant)};
}

std::vector<std::string> WeaviateObjects::Tenants(const Context& ctx, std::string_view class_name) const {
  if (!Find(ctx, class_name).has_tenants) throw Error(Code::kInvalidArgument, "multi-tenancy is not enabled for class '" + std::string(class_name) + "'", "class");
  return collections_.Open(ctx, CollectionOfClass(class_name))->List(ctx, kTenants, "", "", kMaxTenants);
}

void WeaviateObjects::AddTenants(const Context& ctx, std::string_view class_name, std::span<const std::string> names) {
  if (!Find(ctx, class_name).has_tenants) throw Error(Code::kInvalidArgument, "multi-tenancy is not enabled for class '" + std::string(class_name) + "'", "class");
  std::vector<IndexChange> changes;
  for (const auto& name : names) {
    CheckTenantName(name);
    changes.push_back({Kind::kPut, {.id = name, .access = std::string(retrieval::kCollectionReaders)}});
  }
  collections_.Open(ctx, CollectionOfClass(class_name))->Write(ctx, kTenants, changes);
}

void WeaviateObjects::DeleteTenants(const Context& ctx, std::string_view class_name, std::span<const std::string> names) {
  if (!Find(ctx, class_name).has_tenants) throw Error(Code::kInvalidArgument, "multi-tenancy is not enabled for class '" + std::string(class_name) + "'", "class");
  const auto index = collections_.Open(ctx, CollectionOfClass(class_name));
  for (const auto& name : names) {
    CheckTenantName(name);
    const IndexChange gone{Kind::kDelete, {.id = name}};
    index->Write(ctx, kTenants, {&gone, 1});  // first: from here on nobody asks it
    index->DeleteNamespace(ctx, name);
  }
}

void WeaviateObjects::AddUnknownProperties(const Context& ctx, OpenWeaviateClass& to, std::span<const WeaviateObject> objects, std::vector<std::string>& errors) {
  std::map<std::string, JsonObject> unknown;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (!errors[i].empty()) continue;
    try {
      for (const auto& [key, value] : objects[i].properties) {
        const auto name = WeaviatePropertyName(key);
        if (value.is_null() || to.schema.properties.contains(name) || unknown.contains(name)) continue;
        auto property = GuessWeaviateProperty(name, value);
        auto tried = to.schema;
        AddWeaviateProperty(tried, property);  // a name that cannot be is this object's fault alone
        unknown.emplace(name, std::move(property));
      }
    } catch (const Error& e) {
      errors[i] = e.message();
    }
  }
  if (unknown.empty()) return;
  to.row = collections_.Configure(ctx, to.row.name, [&](Collection& one) {
    auto schema = ClassOfCollection(one).value();
    for (const auto& [name, property] : unknown)
      if (!schema.properties.contains(name)) AddWeaviateProperty(schema, property);
    one.attributes["class"] = schema.json;
  });
  to.schema = ClassOfCollection(to.row).value();
}

void WeaviateObjects::EmbedMissing(const Context& ctx, const WeaviateClass& schema, std::span<IndexRecord> records) const {
  std::vector<std::size_t> places;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!records[i].vector.empty() || records[i].id.empty() || records[i].text.empty()) continue;
    places.push_back(i);
    texts.push_back(TextOf(records[i]));
  }
  if (texts.empty()) return;
  if (!embedder_) throw Error(Code::kFailedPrecondition, "class '" + schema.name + "' is embedded by the server, which runs no embedding model now");
  auto vectors = embedder_->Embed(ctx, texts, models::EmbedKind::kPassage);
  for (std::size_t i = 0; i < places.size(); ++i) records[places[i]].vector = std::move(vectors[i]);
}

std::vector<float> WeaviateObjects::Embed(const Context& ctx, const WeaviateClass& schema, const std::string& text) const {
  if (!schema.embeds) throw Error(Code::kFailedPrecondition, "class '" + schema.name + "' has no module that embeds texts (vectorizer none): send a vector, or make the class with " + std::string(kWeaviateModule));
  if (!embedder_) throw Error(Code::kFailedPrecondition, "class '" + schema.name + "' is embedded by the server, which runs no embedding model now");
  if (text.empty() || text.size() > 8192) throw Error(Code::kInvalidArgument, "query: has 1 to 8192 bytes", "query");
  return std::move(embedder_->Embed(ctx, {&text, 1}, models::EmbedKind::kQuery).front());
}

WeaviateObjects::Prepared WeaviateObjects::Prepare(const Context& ctx, std::string_view class_name, std::string_view tenant, std::vector<WeaviateObject>& objects) {
  Prepared out{Open(ctx, class_name, tenant), std::vector<IndexRecord>(objects.size()), std::vector<std::string>(objects.size())};
  auto& [to, records, errors] = out;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (const auto id = NormalUuid(objects[i].id)) objects[i].id = *id;
    else errors[i] = "id: '" + objects[i].id.substr(0, 64) + "' is not a UUID";
    if (!objects[i].vector_name.empty() && objects[i].vector_name != to.schema.vector_name) errors[i] = "vectors." + objects[i].vector_name.substr(0, 64) + ": class '" + to.schema.name + "' has " + (to.schema.vector_name.empty() ? "one vector without a name" : "the vector '" + to.schema.vector_name + "'");
  }
  AddUnknownProperties(ctx, to, objects, errors);
  const auto attempt = [&](std::size_t i, const auto& work) {
    if (!errors[i].empty()) return;
    try {
      work();
    } catch (const Error& e) {
      errors[i] = e.message().starts_with(kAlone) ? e.message().substr(kAlone.size()) : e.message();
      records[i] = {};
    }
  };
  for (std::size_t i = 0; i < objects.size(); ++i) attempt(i, [&] { records[i] = RecordOf(to.schema, objects[i]); });
  if (to.schema.embeds) EmbedMissing(ctx, to.schema, records);
  if (to.row.dim == 0)
    if (const auto first = std::find_if(records.begin(), records.end(), [&](const IndexRecord& record) { return CanBeFirst(record, to.row.metric); }); first != records.end()) {
      to.row = collections_.Configure(ctx, to.row.name, [&](Collection& one) { one.dim = static_cast<std::int64_t>(first->vector.size()); });
      to.index = collections_.Open(ctx, to.row.name);
    }
  for (std::size_t i = 0; i < records.size(); ++i)
    attempt(i, [&] {
      const IndexChange change{Kind::kPut, records[i]};
      retrieval::CheckChanges({&change, 1}, static_cast<std::size_t>(to.row.dim), to.row.metric);
      objects[i].vector = records[i].vector;
    });
  return out;
}

void WeaviateObjects::Write(const Context& ctx, Prepared& prepared, std::span<WeaviateObject> objects, Put which) {
  auto& [to, records, errors] = prepared;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < records.size(); ++i)
    if (errors[i].empty()) ids.push_back(records[i].id);
  std::unordered_map<std::string, std::int64_t> created;
  for (const auto& known : to.index->Fetch(ctx, to.name_space, ids))
    if (const auto* at = known.metadata.if_contains(kWeaviateCreated); at && at->is_number()) created.emplace(known.id, at->to_number<std::int64_t>());
  const auto now_ms = ToMicros(ctx.clock().Now()) / 1000;
  std::vector<IndexChange> changes;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!errors[i].empty()) continue;
    const auto known = created.find(records[i].id);
    if (which == Put::kNew && known != created.end()) throw Error(Code::kAlreadyExists, "id '" + records[i].id + "' already exists", "id");
    if (which == Put::kThere && known == created.end()) throw Error(Code::kNotFound, "there is no object with id '" + records[i].id + "'", "id");
    records[i].metadata[kWeaviateCreated] = objects[i].created_ms = known == created.end() ? now_ms : known->second;
    records[i].metadata[kWeaviateUpdated] = objects[i].updated_ms = now_ms;
    changes.push_back({Kind::kPut, std::move(records[i])});
  }
  if (!changes.empty()) to.index->Write(ctx, to.name_space, changes);
}

std::vector<std::string> WeaviateObjects::PutAll(const Context& ctx, std::string_view class_name, std::string_view tenant, std::vector<WeaviateObject>& objects, Put which) {
  if (!tenant.empty()) {
    CheckTenantName(tenant);
    if (const auto schema = Find(ctx, class_name); schema.has_tenants && schema.makes_tenants) {
      const std::string name(tenant);
      if (collections_.Open(ctx, CollectionOfClass(class_name))->Fetch(ctx, kTenants, {&name, 1}).empty()) AddTenants(ctx, class_name, {&name, 1});
    }
  }
  auto prepared = Prepare(ctx, class_name, tenant, objects);
  const std::lock_guard lock(writing_);
  Write(ctx, prepared, objects, which);
  return std::move(prepared.errors);
}

WeaviateObject WeaviateObjects::PutOne(const Context& ctx, std::string_view class_name, std::string_view tenant, WeaviateObject object, Put which) {
  std::vector<WeaviateObject> one;
  one.push_back(std::move(object));
  const auto errors = PutAll(ctx, class_name, tenant, one, which);
  if (!errors[0].empty()) throw Error(Code::kInvalidArgument, errors[0]);
  return std::move(one[0]);
}

void WeaviateObjects::Merge(const Context& ctx, std::string_view class_name, std::string_view tenant, WeaviateObject part) {
  const std::lock_guard lock(writing_);
  const auto from = Open(ctx, class_name, tenant);
  auto known = Fetch(ctx, from, {&part.id, 1});
  if (known.empty()) throw Error(Code::kNotFound, "there is no object with id '" + part.id.substr(0, 64) + "'", "id");
  auto& whole = known.front();
  for (const auto& [key, value] : part.properties) {
    if (value.is_null()) whole.properties.erase(WeaviatePropertyName(key));
    else whole.properties[WeaviatePropertyName(key)] = value;
  }
  if (!part.vector.empty()) whole.vector = std::move(part.vector);
  else if (from.schema.embeds) whole.vector.clear();  // made again of what the texts are now
  auto prepared = Prepare(ctx, class_name, tenant, known);
  if (!prepared.errors[0].empty()) throw Error(Code::kInvalidArgument, prepared.errors[0]);
  Write(ctx, prepared, known, Put::kThere);
}

std::vector<WeaviateObject> WeaviateObjects::Fetch(const Context& ctx, const OpenWeaviateClass& from, std::span<const std::string> ids) {
  std::vector<WeaviateObject> out;
  for (auto& record : from.index->Fetch(ctx, from.name_space, ids)) out.push_back(ObjectOf(from.schema, std::move(record)));
  return out;
}

bool WeaviateObjects::DeleteOne(const Context& ctx, std::string_view class_name, std::string_view tenant, const std::string& id) {
  const auto from = Open(ctx, class_name, tenant);
  if (from.index->Fetch(ctx, from.name_space, {&id, 1}).empty()) return false;
  const IndexChange gone{Kind::kDelete, {.id = id}};
  from.index->Write(ctx, from.name_space, {&gone, 1});
  return true;
}

}  // namespace tenfold::serving
