#include "serving/weaviate_messages.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace tenfold::serving {
namespace {

namespace pb = weaviate::v1;
using boost::json::string;
using Type = WeaviateType;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie");

template <class T>
std::vector<T> ReadNumbers(std::string_view bytes, std::string_view path) {
  if (bytes.size() % sizeof(T) != 0) throw Error(Code::kInvalidArgument, std::string(path) + ": has " + std::to_string(bytes.size()) + " bytes, no multiple of " + std::to_string(sizeof(T)), std::string(path));
  std::vector<T> out(bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}
template <class T>
std::string WriteNumbers(const std::vector<T>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T)};
}

Json JsonOf(const google::protobuf::Value& value);
JsonObject JsonOf(const google::protobuf::Struct& in) {
  JsonObject out;
  for (const auto& [name, value] : in.fields()) out[name] = JsonOf(value);
  return out;
}
Json JsonOf(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kNumberValue: return value.number_value();
    case google::protobuf::Value::kStringValue: return string(value.string_value());
    case google::protobuf::Value::kBoolValue: return value.bool_value();
    case google::protobuf::Value::kStructValue: return JsonOf(value.struct_value());
    case google::protobuf::Value::kListValue: {
      JsonArray out;
      for (const auto& one : value.list_value().values()) out.push_back(JsonOf(one));
      return out;
    }
    case google::protobuf::Value::kNullValue:
    case google::protobuf::Value::KIND_NOT_SET: break;
  }
  return nullptr;
}

/// Of an object and of an object inside of it, which have the same fields in two types.
template <class Properties>
JsonObject ReadProperties(const Properties& in) {
  auto out = JsonOf(in.non_ref_properties());
  const auto list = [&](const std::string& name, const auto& values) {
    JsonArray all;
    for (const auto& value : values) all.emplace_back(value);
    out[name] = std::move(all);
  };
  for (const auto& one : in.number_array_properties()) {
    if (one.values_bytes().empty()) list(one.prop_name(), one.values());
    else list(one.prop_name(), ReadNumbers<double>(one.values_bytes(), one.prop_name()));
  }
  for (const auto& one : in.int_array_properties()) list(one.prop_name(), one.values());
  for (const auto& one : in.text_array_properties()) {
    JsonArray all;
    for (const auto& value : one.values()) all.emplace_back(string(value));
    out[one.prop_name()] = std::move(all);
  }
  for (const auto& one : in.boolean_array_properties()) list(one.prop_name(), one.values());
  for (const auto& one : in.object_properties()) out[one.prop_name()] = ReadProperties(one.value());
  for (const auto& one : in.object_array_properties()) {
    JsonArray all;
    for (const auto& value : one.values()) all.push_back(ReadProperties(value));
    out[one.prop_name()] = std::move(all);
  }
  for (const auto& name : in.empty_list_props()) out[name] = JsonArray{};
  return out;
}

std::string TextOf(const Json& value) { return value.is_string() ? std::string(AsView(value.get_string())) : std::string(); }

/// An object inside of an object, whose types nobody declared: as the values are.
void WriteFree(const Json& value, pb::Value& out) {
  if (value.is_string()) out.set_text_value(TextOf(value));
  else if (value.is_bool()) out.set_bool_value(value.get_bool());
  else if (value.is_number()) out.set_number_value(value.to_number<double>());
  else if (const auto* object = value.if_object()) {
    auto* fields = out.mutable_object_value()->mutable_fields();
    for (const auto& [name, one] : *object) WriteFree(one, (*fields)[std::string(name)]);
  } else if (const auto* list = value.if_array()) {
    auto* all = out.mutable_list_value();
    if (list->empty() || list->front().is_string()) {
      for (const auto& one : *list) all->mutable_text_values()->add_values(TextOf(one));
      if (list->empty()) all->mutable_text_values();
    } else if (list->front().is_bool()) {
      for (const auto& one : *list) all->mutable_bool_values()->add_values(one.is_bool() && one.get_bool());
    } else if (list->front().is_number()) {
      std::vector<double> numbers;
      for (const auto& one : *list) numbers.push_back(one.is_number() ? one.to_number<double>() : 0);
      all->mutable_number_values()->set_values(WriteNumbers(numbers));
    } else {
      for (const auto& one : *list) {
        pb::Value inner;
        WriteFree(one, inner);
        *all->mutable_object_values()->add_values() = inner.object_value();
      }
    }
  } else {
    out.set_null_value(google::protobuf::NULL_VALUE);
  }
}

void WriteList(Type type, const JsonArray& values, pb::ListValue& out) {
  switch (type) {
    case Type::kInts: {
      std::vector<std::int64_t> numbers;
      for (const auto& one : values) numbers.push_back(one.to_number<std::int64_t>());
      out.mutable_int_values()->set_values(WriteNumbers(numbers));
      return;
    }
    case Type::kNumbers: {
      std::vector<double> numbers;
      for (const auto& one : values) numbers.push_back(one.to_number<double>());
      out.mutable_number_values()->set_values(WriteNumbers(numbers));
      return;
    }
    case Type::kBooleans:
      out.mutable_bool_values();
      for (const auto& one : values) out.mutable_bool_values()->add_values(one.as_bool());
      return;
    case Type::kDates:
      out.mutable_date_values();
      for (const auto& one : values) out.mutable_date_values()->add_values(TextOf(one));
      return;
    case Type::kUuids:
      out.mutable_uuid_values();
      for (const auto& one : values) out.mutable_uuid_values()->add_values(TextOf(one));
      return;
    default:
      out.mutable_text_values();
      for (const auto& one : values) out.mutable_text_values()->add_values(TextOf(one));
  }
}

}  // namespace

std::vector<float> ReadFloats(std::string_view bytes, std::string_view path) { return ReadNumbers<float>(bytes, path); }
std::string WriteFloats(const std::vector<float>& vector) { return WriteNumbers(vector); }

WeaviateObject ReadWeaviateObject(const pb::BatchObject& in) {
  WeaviateObject out{.id = in.uuid()};
  if (in.properties().single_target_ref_props_size() > 0 || in.properties().multi_target_ref_props_size() > 0) throw Error(Code::kUnimplemented, "references between objects are not kept", "references");
  out.properties = ReadProperties(in.properties());
  if (!in.vector_bytes().empty()) out.vector = ReadFloats(in.vector_bytes(), "vector");
  else out.vector.assign(in.vector().begin(), in.vector().end());
  if (in.vectors_size() > 1) throw Error(Code::kUnimplemented, "vectors: an object has one vector", "vectors");
  if (in.vectors_size() == 1) {
    if (in.vectors(0).type() == pb::Vectors::VECTOR_TYPE_MULTI_FP32) throw Error(Code::kUnimplemented, "vectors: an object has one vector, not one a token", "vectors");
    out.vector = ReadFloats(in.vectors(0).vector_bytes(), "vectors");
    out.vector_name = in.vectors(0).name();
  }
  return out;
}

void WriteWeaviateValue(Type type, const Json& value, pb::Value& out) {
  if (value.is_null()) return out.set_null_value(google::protobuf::NULL_VALUE);
  switch (type) {
    case Type::kText: return out.set_text_value(TextOf(value));
    case Type::kBlob: return out.set_blob_value(TextOf(value));
    case Type::kDate: return out.set_date_value(TextOf(value));
    case Type::kUuid: return out.set_uuid_value(TextOf(value));
    case Type::kInt: return out.set_int_value(value.to_number<std::int64_t>());
    case Type::kNumber: return out.set_number_value(value.to_number<double>());
    case Type::kBoolean: return out.set_bool_value(value.as_bool());
    case Type::kPlace:
      out.mutable_geo_value()->set_latitude(value.at("latitude").to_number<float>());
      out.mutable_geo_value()->set_longitude(value.at("longitude").to_number<float>());
      return;
    case Type::kObject:
    case Type::kObjects: return WriteFree(value, out);
    case Type::kTexts:
    case Type::kInts:
    case Type::kNumbers:
    case Type::kBooleans:
    case Type::kDates:
    case Type::kUuids: return WriteList(type, value.as_array(), *out.mutable_list_value());
  }
}

std::string UuidBytes(std::string_view uuid) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string hex, out;
  for (const char c : uuid)
    if (c != '-') hex += c;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) out += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  return out;
}

}  // namespace tenfold::serving
