#pragma once
/// \file Objects of Weaviate's classes as records of our collections: what REST and gRPC do with them both.
/// A record's id is the object's UUID and its namespace the tenant. Its metadata holds the properties by name, and beside them $id, $created and $updated (milliseconds since 1970), which
/// filters ask for. Texts of properties that are searched stand in the record's text; one of more than 1 KB stands only there, at the place its name has in $texts.
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/embedder.h"
#include "retrieval/collections.h"
#include "serving/weaviate_schema.h"

namespace tenfold::serving {

struct WeaviateObject {
  std::string id = {};             ///< a UUID
  JsonObject properties = {};      ///< as Weaviate's REST API shows them
  std::vector<float> vector = {};  ///< empty: none, or to be made of its texts
  std::string vector_name = {};    ///< as a client said it; empty: the class's own
  std::int64_t created_ms = 0;
  std::int64_t updated_ms = 0;
};

/// A class of the caller's, one tenant of it.
struct OpenWeaviateClass {
  WeaviateClass schema;
  retrieval::Collection row;
  std::shared_ptr<retrieval::SearchIndex> index;
  std::string name_space;
};

/// Longest text that filters look at.
inline constexpr std::size_t kWeaviateFilteredBytes = 1024;
/// Metadata keys beside the properties'.
inline constexpr std::string_view kWeaviateId = "$id", kWeaviateCreated = "$created", kWeaviateUpdated = "$updated", kWeaviateTexts = "$texts";

/// Threads: all methods are safe. Rights: as Collections.
class WeaviateObjects {
 public:
  enum class Put : std::uint8_t { kAny, kNew, kThere };

  /// `embedder` may be null.
  WeaviateObjects(retrieval::Collections& collections, models::Embedder* embedder, std::string embedder_id) : collections_(collections), embedder_(embedder), embedder_id_(std::move(embedder_id)) {}

  WeaviateClass Create(const Context& ctx, const JsonObject& sent);
  std::vector<WeaviateClass> List(const Context& ctx) const;
  /// Errors: kNotFound.
  WeaviateClass Find(const Context& ctx, std::string_view class_name) const;
  /// Nothing if it is not there.
  void Delete(const Context& ctx, std::string_view class_name);
  WeaviateClass AddProperty(const Context& ctx, std::string_view class_name, const JsonObject& property);
  /// Changes the description; anything else that differs is refused. Errors: kUnimplemented.
  WeaviateClass Change(const Context& ctx, std::string_view class_name, const JsonObject& sent);

  /// `tenant` is empty exactly if the class has none. Errors: kNotFound (class, or tenant), kInvalidArgument.
  OpenWeaviateClass Open(const Context& ctx, std::string_view class_name, std::string_view tenant) const;
  /// Sorted.
  std::vector<std::string> Tenants(const Context& ctx, std::string_view class_name) const;
  void AddTenants(const Context& ctx, std::string_view class_name, std::span<const std::string> names);
  void DeleteTenants(const Context& ctx, std::string_view class_name, std::span<const std::string> names);

  /// Puts what can be put, in one commit, and says of each object why it was not: an empty text if it was. Properties the class does not have are added to it, and the first vector decides
  /// how many numbers each has. Errors: of the class or tenant.
  std::vector<std::string> PutAll(const Context& ctx, std::string_view class_name, std::string_view tenant, std::vector<WeaviateObject>& objects, Put which = Put::kAny);
  /// One, and what it became. Errors: kAlreadyExists, kNotFound (as `which` says), kInvalidArgument.
  WeaviateObject PutOne(const Context& ctx, std::string_view class_name, std::string_view tenant, WeaviateObject object, Put which);
  /// Adds properties, null takes one away, and a vector if there is one. Errors: kNotFound.
  void Merge(const Context& ctx, std::string_view class_name, std::string_view tenant, WeaviateObject part);
  /// In the order of `ids`; those that are not there are left out.
  static std::vector<WeaviateObject> Fetch(const Context& ctx, const OpenWeaviateClass& from, std::span<const std::string> ids);
  /// False if it is not there.
  bool DeleteOne(const Context& ctx, std::string_view class_name, std::string_view tenant, const std::string& id);

  models::Embedder* embedder() const { return embedder_; }
  /// A question's vector, of a class that embeds. Errors: kFailedPrecondition.
  std::vector<float> Embed(const Context& ctx, const WeaviateClass& schema, const std::string& text) const;

 private:
  retrieval::Collection Row(const Context& ctx, std::string_view class_name) const;
  void AddUnknownProperties(const Context& ctx, OpenWeaviateClass& to, std::span<const WeaviateObject> objects, std::vector<std::string>& errors);
  void EmbedMissing(const Context& ctx, const WeaviateClass& schema, std::span<retrieval::IndexRecord> records) const;
  /// Objects as records, and of each whether it can be put: an empty text.
  struct Prepared {
    OpenWeaviateClass to;
    std::vector<retrieval::IndexRecord> records;
    std::vector<std::string> errors;
  };
  Prepared Prepare(const Context& ctx, std::string_view class_name, std::string_view tenant, std::vector<WeaviateObject>& objects);
  /// With writing_ held.
  static void Write(const Context& ctx, Prepared& prepared, std::span<WeaviateObject> objects, Put which);

  retrieval::Collections& collections_;
  models::Embedder* const embedder_;
  const std::string embedder_id_;
  std::mutex writing_;  // what is read before it is written stays so until then; the store takes one writer at a time anyway
};

}  // namespace tenfold::serving
