#pragma once
/// \file Index files of FAISS, read and written: flat, IVF flat, PQ, IVF PQ and HNSW flat, over inner products or Euclidean distances.
/// Source: the layout that faiss::write_index of FAISS 1.15 (MIT licence) writes: index_write.cpp; checked by faiss-cpu 1.15.1 in both directions.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "retrieval/metric.h"

namespace tenfold::retrieval {

enum class FaissKind : std::uint8_t { kFlat, kIvfFlat, kPq, kIvfPq, kHnswFlat };

/// What a file holds. Shapes: ids [n]; vectors [n, dim], row after row.
struct FaissIndex {
  FaissKind kind = FaissKind::kFlat;
  std::size_t dim = 0;
  Metric metric = Metric::kEuclidean;  ///< kDot or kEuclidean; FAISS has no cosine: its users normalise
  std::vector<std::int64_t> ids;       ///< in the order of the file; of a flat file without a map of ids the row's number
  std::vector<float> vectors;          ///< of kPq and kIvfPq what the codes stand for, which is near what was put in
};

/// Any of the five kinds, also within an IndexIDMap and with any of them as the coarse quantiser. Cost: O(n · dim), in memory.
/// Errors: kResourceExhausted (codes that stand for more than `limit_floats` numbers), kInvalidArgument (no FAISS file, cut short, sizes that contradict each other), kUnimplemented with the four letters of another kind or another metric.
FaissIndex ReadFaissFile(std::string_view bytes, std::size_t limit_floats = std::size_t{1} << 32);

struct FaissOptions {
  FaissKind kind = FaissKind::kFlat;
  Metric metric = Metric::kEuclidean;  ///< kCosine: vectors are normalised and compared by inner products
  std::size_t lists = 0;               ///< of the two IVF kinds; 0: 4 · sqrt(n), at least 39 vectors a list
  std::size_t probes = 0;              ///< written as nprobe; 0: an eighth of the lists
  std::size_t sub_vectors = 0;         ///< of the two PQ kinds, a byte each; divides dim; 0: the largest divisor that is not over dim / 4
  std::size_t links = 32;              ///< HNSW's M
};
/// The bytes of an index of the rows of `vectors` [n, dim]; a vector's id is its row. Deterministic. Cost: flat O(n · dim); IVF and PQ k-means of at most 16,384 vectors, ten rounds;
/// HNSW O(n · log n) comparisons. Sources: Jégou, Douze & Schmid, PAMI 2011 (PQ, IVF); Malkov & Yashunin, PAMI 2018 (HNSW).
/// Errors: kInvalidArgument (no vectors, dim, a divisor that is none, a vector of zeros under kCosine, NaN).
std::string WriteFaissFile(std::vector<float> vectors, std::size_t dim, const FaissOptions& options);

}  // namespace tenfold::retrieval
