#include "retrieval/faiss_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>

#include "base/error.h"
#include "retrieval/faiss_build.h"

namespace tenfold::retrieval {
namespace {

static_assert(std::endian::native == std::endian::little, "FAISS writes the numbers of the machine it runs on, and such files are little-endian");

constexpr std::size_t kMaxDim = 20'000, kMaxDepth = 4, kMaxBits = 16, kPerList = 39, kCodes = 256;
constexpr std::uint32_t kPlaceholder = 1u << 20;  // of two fields that FAISS no longer uses

[[noreturn]] void Fail(const std::string& problem) { throw Error(Code::kInvalidArgument, "faiss file: " + problem); }

/// Takes values from the front; what is not there is an error before anything is allocated for it.
class Reader {
 public:
  Reader(std::string_view bytes, std::size_t limit_floats) : rest_(bytes), limit_floats_(limit_floats) {}
  std::size_t limit_floats() const { return limit_floats_; }
  std::string_view Bytes(std::uint64_t size) {
    if (size > rest_.size()) Fail("is cut short: " + std::to_string(size) + " bytes are said to follow and " + std::to_string(rest_.size()) + " do");
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  template <class T>
  T One() {
    T out;
    std::memcpy(&out, Bytes(sizeof out).data(), sizeof out);
    return out;
  }
  template <class T>
  std::vector<T> Many(std::uint64_t count) {
    if (count > rest_.size() / sizeof(T)) Fail("is cut short: a list of " + std::to_string(count) + " does not fit into what follows");
    std::vector<T> out(count);
    if (count) std::memcpy(out.data(), Bytes(count * sizeof(T)).data(), count * sizeof(T));
    return out;
  }
  template <class T>
  std::vector<T> Counted() {
    return Many<T>(One<std::uint64_t>());
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  std::size_t limit_floats_;
};

struct Header {
  std::size_t dim, rows;
  Metric metric;
};

Header ReadHeader(Reader& in) {
  const auto dim = in.One<std::int32_t>();
  const auto rows = in.One<std::int64_t>();
  in.Bytes(16);
  const auto trained = in.One<std::uint8_t>();
  const auto metric = in.One<std::int32_t>();
  if (dim < 1 || static_cast<std::size_t>(dim) > kMaxDim) Fail("has " + std::to_string(dim) + " dimensions; 1 to 20000 are read");
  if (rows < 0 || trained > 1) Fail("its header is not one");
  if (metric != 0 && metric != 1) throw Error(Code::kUnimplemented, "faiss file: metric " + std::to_string(metric) + "; inner product (0) and Euclidean (1) are read");
  return {static_cast<std::size_t>(dim), static_cast<std::size_t>(rows), metric ? Metric::kEuclidean : Metric::kDot};
}

struct ProductQuantiser {
  std::size_t dim = 0, parts = 0, bits = 0;
  std::vector<float> centroids;  // [parts, 2^bits, dim / parts]

  std::size_t code_bytes() const { return (parts * bits + 7) / 8; }
  void Decode(std::string_view code, float* out) const {
    const auto width = dim / parts;
    for (std::size_t p = 0; p < parts; ++p) {
      std::size_t number = 0;
      for (std::size_t b = 0; b < bits; ++b) {
        const auto at = p * bits + b;
        number |= static_cast<std::size_t>((static_cast<unsigned char>(code[at / 8]) >> (at % 8)) & 1) << b;
      }
      for (std::size_t d = 0; d < width; ++d) out[p * width + d] += centroids[((p << bits) + number) * width + d];
    }
  }
};

ProductQuantiser ReadProductQuantiser(Reader& in, std::size_t dim) {
  ProductQuantiser out;
  out.dim = in.One<std::uint64_t>();
  out.parts = in.One<std::uint64_t>();
  out.bits = in.One<std::uint64_t>();
  if (out.dim != dim || out.parts < 1 || out.parts > dim || dim % out.parts || out.bits < 1 || out.bits > kMaxBits) Fail("its product quantiser does not fit " + std::to_string(dim) + " dimensions");
  out.centroids = in.Counted<float>();
  if (out.centroids.size() != dim << out.bits) Fail("its product quantiser has " + std::to_string(out.centroids.size()) + " numbers, " + std::to_string(dim << out.bits) + " are needed");
  return out;
}

/// A few bytes of code may stand for thousands of floats: what is decoded has a limit.
void CheckDecoded(const Reader& in, std::size_t rows, std::size_t dim) {
  if (rows > in.limit_floats() / dim) throw Error(Code::kResourceExhausted, "faiss file: " + std::to_string(rows) + " codes of " + std::to_string(dim) + " dimensions are more than " + std::to_string(in.limit_floats()) + " numbers");
}

FaissIndex Read(Reader& in, std::size_t depth);

/// What follows the header of the two IVF kinds up to the lists: the centroids.
std::vector<float> ReadCoarse(Reader& in, const Header& header, std::uint64_t& lists, std::size_t depth) {
  lists = in.One<std::uint64_t>();
  in.One<std::uint64_t>();  // nprobe
  auto coarse = Read(in, depth + 1);
  if (coarse.dim != header.dim || lists > coarse.vectors.size() || coarse.vectors.size() != lists * header.dim) Fail("its coarse quantiser does not fit its lists");
  const auto map = in.One<std::uint8_t>();
  in.Counted<std::int64_t>();
  if (map == 2) {
    const auto pairs = in.One<std::uint64_t>();
    if (pairs > SIZE_MAX / 16) Fail("its map is cut short");
    in.Bytes(pairs * 16);
  } else if (map > 2) {
    Fail("its map is of an unknown type");
  }
  return std::move(coarse.vectors);
}

/// Calls visit(list, id, code) for each entry of the inverted lists.
template <class Visit>
void ReadLists(Reader& in, std::uint64_t lists, std::size_t code_bytes, std::size_t rows, const Visit& visit) {
  const auto kind = in.Bytes(4);
  if (kind == "il00") {
    if (rows) Fail("has no lists and " + std::to_string(rows) + " vectors");
    return;
  }
  if (kind != "ilar") throw Error(Code::kUnimplemented, "faiss file: inverted lists of kind '" + std::string(kind) + "'; 'ilar' is read");
  if (in.One<std::uint64_t>() != lists || in.One<std::uint64_t>() != code_bytes) Fail("its lists do not fit its header");
  const auto form = in.Bytes(4);
  const auto said = in.Counted<std::uint64_t>();
  std::vector<std::pair<std::uint64_t, std::uint64_t>> sizes;  // list, entries
  if (form == "full") {
    if (said.size() != lists) Fail("has sizes of " + std::to_string(said.size()) + " lists of " + std::to_string(lists));
    for (std::size_t i = 0; i < said.size(); ++i) sizes.emplace_back(i, said[i]);
  } else if (form == "sprs" && said.size() % 2 == 0) {
    for (std::size_t i = 0; i < said.size(); i += 2) sizes.emplace_back(said[i], said[i + 1]);
  } else {
    Fail("its lists are in an unknown form");
  }
  std::size_t read = 0;
  for (const auto& [list, entries] : sizes) {
    if (list >= lists || entries > rows - read) Fail("its lists hold more than its header says");
    const auto codes = in.Bytes(entries * code_bytes);
    const auto ids = in.Many<std::int64_t>(entries);
    for (std::size_t i = 0; i < entries; ++i) visit(list, ids[i], codes.substr(i * code_bytes, code_bytes));
    read += entries;
  }
  if (read != rows) Fail("its lists hold " + std::to_string(read) + " vectors, its header says " + std::to_string(rows));
}

void NumberRows(FaissIndex& index, std::size_t rows) {
  index.ids.resize(rows);
  std::iota(index.ids.begin(), index.ids.end(), 0);
}

FaissIndex ReadFlat(Reader& in) {
  const auto header = ReadHeader(in);
  FaissIndex out{.kind = FaissKind::kFlat, .dim = header.dim, .metric = header.metric, .ids = {}, .vectors = in.Counted<float>()};
  if (header.rows > out.vectors.size() || out.vectors.size() != header.rows * header.dim) Fail("holds " + std::to_string(out.vectors.size()) + " numbers, not " + std::to_string(header.rows) + " vectors of " + std::to_string(header.dim));
  NumberRows(out, header.rows);
  return out;
}

FaissIndex ReadIvf(Reader& in, FaissKind kind, std::size_t depth) {
  const auto header = ReadHeader(in);
  FaissIndex out{.kind = kind, .dim = header.dim, .metric = header.metric, .ids = {}, .vectors = {}};
  std::uint64_t lists = 0;
  const auto centroids = ReadCoarse(in, header, lists, depth);
  if (kind == FaissKind::kIvfFlat) {
    ReadLists(in, lists, header.dim * sizeof(float), header.rows, [&](std::uint64_t, std::int64_t id, std::string_view code) {
      out.ids.push_back(id);
      out.vectors.resize(out.vectors.size() + header.dim);
      std::memcpy(out.vectors.data() + out.vectors.size() - header.dim, code.data(), code.size());
    });
    return out;
  }
  const bool residual = in.One<std::uint8_t>() != 0;
  const auto code_bytes = in.One<std::uint64_t>();
  const auto quantiser = ReadProductQuantiser(in, header.dim);
  if (code_bytes != quantiser.code_bytes()) Fail("its codes have " + std::to_string(code_bytes) + " bytes, " + std::to_string(quantiser.code_bytes()) + " are needed");
  CheckDecoded(in, header.rows, header.dim);
  ReadLists(in, lists, code_bytes, header.rows, [&](std::uint64_t list, std::int64_t id, std::string_view code) {
    out.ids.push_back(id);
    if (residual) out.vectors.insert(out.vectors.end(), centroids.begin() + static_cast<std::ptrdiff_t>(list * header.dim), centroids.begin() + static_cast<std::ptrdiff_t>((list + 1) * header.dim));
    else out.vectors.resize(out.vectors.size() + header.dim);
    quantiser.Decode(code, out.vectors.data() + out.vectors.size() - header.dim);
  });
  return out;
}

FaissIndex ReadPq(Reader& in) {
  const auto header = ReadHeader(in);
  const auto quantiser = ReadProductQuantiser(in, header.dim);
  const auto size = in.One<std::uint64_t>();
  if (header.rows > size || size != header.rows * quantiser.code_bytes()) Fail("its codes do not fit its header");
  const auto codes = in.Bytes(size);
  in.Bytes(4 + 1 + 4);  // how it is searched
  CheckDecoded(in, header.rows, header.dim);
  FaissIndex out{.kind = FaissKind::kPq, .dim = header.dim, .metric = header.metric, .ids = {}, .vectors = std::vector<float>(header.rows * header.dim)};
  for (std::size_t i = 0; i < header.rows; ++i) quantiser.Decode(codes.substr(i * quantiser.code_bytes(), quantiser.code_bytes()), out.vectors.data() + i * header.dim);
  NumberRows(out, header.rows);
  return out;
}

FaissIndex ReadHnsw(Reader& in, std::size_t depth) {
  const auto header = ReadHeader(in);
  in.Counted<double>();        // how likely each level is
  in.Counted<std::int32_t>();  // places up to each level
  in.Counted<std::int32_t>();  // levels
  in.Counted<std::uint64_t>(); // offsets
  in.Counted<std::int32_t>();  // neighbours
  in.Bytes(5 * sizeof(std::int32_t));
  auto out = Read(in, depth + 1);
  if (out.dim != header.dim || out.ids.size() != header.rows) Fail("its graph and its vectors are of different sizes");
  out.kind = FaissKind::kHnswFlat;
  out.metric = header.metric;
  return out;
}

FaissIndex Read(Reader& in, std::size_t depth) {
  if (depth > kMaxDepth) Fail("has an index within an index more than four deep");
  const auto kind = in.Bytes(4);
  if (kind == "IxFI" || kind == "IxF2" || kind == "IxFl") return ReadFlat(in);
  if (kind == "IwFl") return ReadIvf(in, FaissKind::kIvfFlat, depth);
  if (kind == "IwPQ") return ReadIvf(in, FaissKind::kIvfPq, depth);
  if (kind == "IxPq") return ReadPq(in);
  if (kind == "IHNf") return ReadHnsw(in, depth);
  if (kind == "IxMp" || kind == "IxM2") {
    const auto header = ReadHeader(in);
    auto out = Read(in, depth + 1);
    const auto ids = in.Counted<std::int64_t>();
    if (header.dim != out.dim || ids.size() != out.ids.size()) Fail("its map of ids does not fit its vectors");
    for (auto& id : out.ids) {
      if (id < 0 || static_cast<std::size_t>(id) >= ids.size()) Fail("its map of ids has no entry " + std::to_string(id));
      id = ids[static_cast<std::size_t>(id)];
    }
    return out;
  }
  const bool is_name = std::all_of(kind.begin(), kind.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
  if (!is_name) Fail("does not begin as one");
  throw Error(Code::kUnimplemented, "faiss file: an index of kind '" + std::string(kind) + "'; flat (IxF2, IxFI), IVF flat (IwFl), PQ (IxPq), IVF PQ (IwPQ), HNSW flat (IHNf) and maps of ids (IxMp, IxM2) are read");
}

class Writer {
 public:
  std::string bytes;
  void Name(std::string_view four) { bytes += four; }
  template <class T>
  void One(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
  void Raw(std::span<const T> values) {
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  template <class T>
  void Counted(std::span<const T> values) {
    One<std::uint64_t>(values.size());
    Raw(values);
  }
  void Header(std::size_t dim, std::size_t rows, Metric metric) {
    One(static_cast<std::int32_t>(dim));
    One(static_cast<std::int64_t>(rows));
    One<std::int64_t>(kPlaceholder);
    One<std::int64_t>(kPlaceholder);
    One<std::uint8_t>(1);
    One<std::int32_t>(metric == Metric::kEuclidean);
  }
  void Flat(std::span<const float> vectors, std::size_t dim, Metric metric) {
    Name(metric == Metric::kEuclidean ? "IxF2" : "IxFI");
    Header(dim, vectors.size() / dim, metric);
    Counted(vectors);
  }
  void Quantiser(const ProductQuantiser& pq) {
    for (const auto value : {pq.dim, pq.parts, pq.bits}) One<std::uint64_t>(value);
    Counted(std::span<const float>(pq.centroids));
  }
};

ProductQuantiser TrainQuantiser(std::span<const float> vectors, std::size_t dim, std::size_t parts) {
  ProductQuantiser out{.dim = dim, .parts = parts, .bits = 8, .centroids = {}};
  const auto width = dim / parts, rows = vectors.size() / dim;
  std::vector<float> slices(rows * width);
  for (std::size_t p = 0; p < parts; ++p) {
    for (std::size_t i = 0; i < rows; ++i) std::copy_n(vectors.data() + i * dim + p * width, width, slices.data() + i * width);
    const auto centroids = FindCentroids(slices, width, kCodes);
    out.centroids.insert(out.centroids.end(), centroids.begin(), centroids.end());
  }
  return out;
}

void Encode(const ProductQuantiser& pq, const float* vector, std::vector<std::uint8_t>& out) {
  const auto width = pq.dim / pq.parts;
  for (std::size_t p = 0; p < pq.parts; ++p) out.push_back(static_cast<std::uint8_t>(NearestCentroid(std::span(pq.centroids).subspan(p * kCodes * width, kCodes * width), vector + p * width, width)));
}

void WriteIvf(Writer& out, std::span<const float> vectors, std::size_t dim, Metric metric, const FaissOptions& options, std::size_t parts) {
  const auto rows = vectors.size() / dim;
  const auto lists = options.lists ? std::min(options.lists, rows) : std::clamp<std::size_t>(std::min(static_cast<std::size_t>(4 * std::sqrt(static_cast<double>(rows))), rows / kPerList), 1, 65'536);
  auto centroids = FindCentroids(vectors, dim, lists);
  std::vector<std::vector<std::int64_t>> rows_of(lists);
  std::vector<float> residuals(options.kind == FaissKind::kIvfPq ? vectors.size() : 0);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto list = NearestCentroid(centroids, vectors.data() + i * dim, dim);
    rows_of[list].push_back(static_cast<std::int64_t>(i));
    for (std::size_t d = 0; d < dim && !residuals.empty(); ++d) residuals[i * dim + d] = vectors[i * dim + d] - centroids[list * dim + d];
  }
  const bool coded = options.kind == FaissKind::kIvfPq;
  out.Name(coded ? "IwPQ" : "IwFl");
  out.Header(dim, rows, metric);
  out.One<std::uint64_t>(lists);
  out.One<std::uint64_t>(options.probes ? std::min(options.probes, lists) : std::max<std::size_t>(1, lists / 8));
  out.Flat(centroids, dim, metric);
  out.One<std::uint8_t>(0);  // no map from ids to places
  out.One<std::uint64_t>(0);
  ProductQuantiser pq;
  if (coded) {
    pq = TrainQuantiser(residuals, dim, parts);
    out.One<std::uint8_t>(1);
    out.One<std::uint64_t>(pq.code_bytes());
    out.Quantiser(pq);
  }
  out.Name("ilar");
  out.One<std::uint64_t>(lists);
  out.One<std::uint64_t>(coded ? pq.code_bytes() : dim * sizeof(float));
  out.Name("full");
  std::vector<std::uint64_t> sizes;
  for (const auto& of_list : rows_of) sizes.push_back(of_list.size());
  out.Counted(std::span<const std::uint64_t>(sizes));
  for (const auto& of_list : rows_of) {
    std::vector<std::uint8_t> codes;
    for (const auto row : of_list) {
      if (coded) Encode(pq, residuals.data() + static_cast<std::size_t>(row) * dim, codes);
      else out.Raw(vectors.subspan(static_cast<std::size_t>(row) * dim, dim));
    }
    out.Raw(std::span<const std::uint8_t>(codes));
    out.Raw(std::span<const std::int64_t>(of_list));
  }
}

void WritePq(Writer& out, std::span<const float> vectors, std::size_t dim, Metric metric, std::size_t parts) {
  const auto pq = TrainQuantiser(vectors, dim, parts);
  std::vector<std::uint8_t> codes;
  for (std::size_t i = 0; i * dim < vectors.size(); ++i) Encode(pq, vectors.data() + i * dim, codes);
  out.Name("IxPq");
  out.Header(dim, vectors.size() / dim, metric);
  out.Quantiser(pq);
  out.Counted(std::span<const std::uint8_t>(codes));
  out.One<std::int32_t>(0);  // searched by tables of distances
  out.One<std::uint8_t>(0);
  out.One<std::int32_t>(0);
}

void WriteHnsw(Writer& out, std::span<const float> vectors, std::size_t dim, Metric metric, std::size_t links) {
  const auto graph = BuildHnsw(vectors, dim, metric, links);
  std::vector<double> likely;
  std::vector<std::int32_t> places{0};
  const double scale = 1 / std::log(static_cast<double>(links));
  for (int level = 0; level < 16; ++level) {
    likely.push_back(std::exp(-level / scale) * (1 - std::exp(-1 / scale)));
    places.push_back(static_cast<std::int32_t>(links) * (level + 2));
  }
  out.Name("IHNf");
  out.Header(dim, vectors.size() / dim, metric);
  out.Counted(std::span<const double>(likely));
  out.Counted(std::span<const std::int32_t>(places));
  out.Counted(std::span<const std::int32_t>(graph.levels));
  out.Counted(std::span<const std::uint64_t>(graph.offsets));
  out.Counted(std::span<const std::int32_t>(graph.neighbours));
  for (const std::int32_t value : {graph.entry, graph.top, 40, 64, 1}) out.One(value);  // efConstruction, efSearch, a field without use
  out.Flat(vectors, dim, metric);
}

}  // namespace

FaissIndex ReadFaissFile(std::string_view bytes, std::size_t limit_floats) {
  Reader in(bytes, limit_floats);
  auto out = Read(in, 0);
  if (!in.at_end()) Fail("goes on behind its end");
  return out;
}

std::string WriteFaissFile(std::vector<float> vectors, std::size_t dim, const FaissOptions& options) {
  if (dim < 1 || dim > kMaxDim || vectors.empty() || vectors.size() % dim) Fail("needs at least one vector, of 1 to 20000 dimensions");
  if (vectors.size() / dim > INT32_MAX) throw Error(Code::kResourceExhausted, "faiss file: more than 2147483647 vectors");
  for (const float x : vectors)
    if (!std::isfinite(x)) Fail("a vector holds a value that is not a number");
  auto metric = options.metric;
  if (metric == Metric::kCosine) {
    metric = Metric::kDot;
    for (auto row = vectors.begin(); row != vectors.end(); row += static_cast<std::ptrdiff_t>(dim)) {
      double squares = 0;
      for (std::size_t d = 0; d < dim; ++d) squares += static_cast<double>(row[static_cast<std::ptrdiff_t>(d)]) * row[static_cast<std::ptrdiff_t>(d)];
      if (squares == 0) Fail("a vector of zeros has no direction");
      for (std::size_t d = 0; d < dim; ++d) row[static_cast<std::ptrdiff_t>(d)] = static_cast<float>(row[static_cast<std::ptrdiff_t>(d)] / std::sqrt(squares));
    }
  }
  auto parts = options.sub_vectors;
  if (!parts)
    for (parts = std::max<std::size_t>(1, dim / 4); dim % parts;) --parts;
  if (parts > dim || dim % parts) Fail(std::to_string(parts) + " sub-vectors do not divide " + std::to_string(dim) + " dimensions");
  if (options.links < 2 || options.links > 512) Fail("links: is 2 to 512");
  Writer out;
  switch (options.kind) {
    case FaissKind::kFlat: out.Flat(vectors, dim, metric); break;
    case FaissKind::kIvfFlat:
    case FaissKind::kIvfPq: WriteIvf(out, vectors, dim, metric, options, parts); break;
    case FaissKind::kPq: WritePq(out, vectors, dim, metric, parts); break;
    case FaissKind::kHnswFlat: WriteHnsw(out, vectors, dim, metric, options.links); break;
  }
  return std::move(out.bytes);
}

}  // namespace tenfold::retrieval
