#pragma once
/// \file For tests only: what the contract test asks of a back end of SearchIndex. A new back end writes one fixture, declares its Make…Fixture() below and adds one line to the
/// list in search_index_contract_test.cc.
#include <memory>
#include <string>

#include "retrieval/search_index.h"

namespace tenfold::retrieval {

/// What a back end may do without. What it does without it must refuse with kUnimplemented.
struct IndexTraits {
  bool words = true;             ///< as has_words()
  bool facets = true;
  bool places = true;            ///< points in metadata, $within
  bool vectorless = true;        ///< keeps records that have no vector
  bool every_filter = true;      ///< false: a filter may be refused with kUnimplemented, never answered wrongly
  bool whole_batches = true;     ///< false: a batch that fails in the middle may be half written
};

/// One empty place for indexes, made anew for every test.
class IndexFixture {
 public:
  virtual ~IndexFixture() = default;
  /// As after a restart of the program: the same index for the same `dim` and `metric`, another for others.
  virtual std::shared_ptr<SearchIndex> Open(std::size_t dim, Metric metric) = 0;
  virtual IndexTraits traits() const { return {}; }
  /// From now on the server cannot be reached, until Mend(). False if there is no server.
  virtual bool Break() { return false; }
  virtual void Mend() {}
};

/// Each is null, with the reason in `why_not`, where its server cannot be had.
std::unique_ptr<IndexFixture> MakeEmbeddedFixture(std::string& why_not);
std::unique_ptr<IndexFixture> MakePostgresqlFixture(std::string& why_not);
std::unique_ptr<IndexFixture> MakeWeaviateFixture(std::string& why_not);
std::unique_ptr<IndexFixture> MakePineconeFixture(std::string& why_not);

}  // namespace tenfold::retrieval
