#pragma once
/// \file Big bytes, kept once under the SHA-256 of what they are. Back ends: file: (data/object_store_file.cc). Contract: object_store_test.cc.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/context.h"

namespace tenfold::data {

/// An id is 64 lower-case hex digits; every method that takes one refuses anything else with kInvalidArgument. Threads: safe from any thread.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// Bytes on their way in. Destroyed before Commit() they leave nothing behind. Threads: one at a time.
  class Writer {
   public:
    virtual ~Writer() = default;
    /// Errors: kResourceExhausted (disk full), kUnavailable.
    virtual void Append(std::string_view bytes) = 0;
    /// Durable when it returns. Returns the id; bytes that are there already are not kept twice.
    virtual std::string Commit() = 0;
  };
  virtual std::unique_ptr<Writer> Create(const Context& ctx) = 0;
  std::string Put(const Context& ctx, std::string_view bytes);
  /// Many at once; the same as Put() of each, in order, but the disk is waited for together. All are durable when it returns; if it throws, some may be there.
  virtual std::vector<std::string> PutAll(const Context& ctx, std::span<const std::string_view> objects);

  /// The whole object, checked against its id. Errors: kNotFound, kResourceExhausted (larger than `limit_bytes`), kDataLoss (altered).
  virtual std::string Get(const Context& ctx, std::string_view id, std::uint64_t limit_bytes) = 0;
  /// At most `length` bytes from `offset`, fewer at the end; not checked against the id. Errors: kNotFound.
  virtual std::string GetRange(const Context& ctx, std::string_view id, std::uint64_t offset, std::size_t length) = 0;
  /// Nothing if there is no such object.
  virtual std::optional<std::uint64_t> SizeOf(const Context& ctx, std::string_view id) = 0;
  /// Returns whether it was there.
  virtual bool Delete(const Context& ctx, std::string_view id) = 0;
  /// Every object, in no order. Objects that come or go meanwhile may or may not be visited.
  virtual void List(const Context& ctx, const std::function<void(const std::string& id, std::uint64_t size)>& visit) = 0;
};

/// `folder`/ab/cdef...; unfinished writes lie in `folder`/writing and are removed when it is opened. Errors: kPermissionDenied, kUnavailable.
std::unique_ptr<ObjectStore> OpenFileObjectStore(const std::filesystem::path& folder);

}  // namespace tenfold::data
