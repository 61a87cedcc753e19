// The first byte chooses. A class is refused or reads back to itself; a filter, an object and a search are read or refused; a time that is one is normal already when read again.
#include <cstdlib>

#include "base/error.h"
#include "serving/weaviate_messages.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenfold;
  using namespace tenfold::serving;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const auto schema = ReadWeaviateClass(ParseJson(R"({"class": "A", "properties": [{"name": "t", "dataType": ["text"]}, {"name": "f", "dataType": ["text[]"], "tokenization": "field"}, {"name": "n", "dataType": ["int[]"]}, {"name": "d", "dataType": ["date"]},
                                                           {"name": "p", "dataType": ["geoCoordinates"]}]})").as_object());
  try {
    switch (data[0] % 4) {
      case 0: {
        const auto json = ParseJson(bytes);
        if (!json.is_object()) return 0;
        const auto once = ReadWeaviateClass(json.get_object());
        if (ToText(once.json) != ToText(ReadWeaviateClass(once.json).json)) std::abort();
        break;
      }
      case 1: {
        weaviate::v1::Filters filters;
        if (filters.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) ReadWeaviateFilter(schema, filters).Matches({{"t", "a b"}, {"f", JsonArray{"x"}}, {"d", "2024-01-01T00:00:00.000000000Z"}});
        break;
      }
      case 2: {
        weaviate::v1::BatchObject object;
        if (object.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
          for (const auto& [name, value] : ReadWeaviateObject(object).properties) {
            if (value.is_null()) continue;
            auto to = schema;
            AddWeaviateProperty(to, GuessWeaviateProperty("q", value));
            const auto type = to.properties.at("q").type;
            weaviate::v1::Value out;
            if (const auto kept = KeepWeaviateValue(type, value, "q")) WriteWeaviateValue(type, ShowWeaviateValue(type, *kept), out);
          }
        break;
      }
      default:
        if (const auto time = NormalTime(bytes); time && NormalTime(*time) != time) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
