#include "retrieval/chunk_index.h"

#include <algorithm>
#include <unordered_map>

namespace tenfold::retrieval {

ChunkIndex::ChunkIndex(std::size_t dim, std::string generation) : dim_(dim), generation_(std::move(generation)), vectors_(std::max<std::size_t>(1, dim)) {}

data::Commit ChunkIndex::commit() const {
  const std::shared_lock lock(mutex_);
  return commit_;
}

std::size_t ChunkIndex::chunks() const {
  const std::shared_lock lock(mutex_);
  return row_of_chunk_.size();
}

std::size_t ChunkIndex::chunks_without_vector() const {
  const std::shared_lock lock(mutex_);
  return rows_without_vector_.size();
}

double ChunkIndex::WordWeight(const std::string& word) const {
  const std::shared_lock lock(mutex_);
  return words_.Weight(word);
}

void ChunkIndex::Load(data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  std::unordered_map<std::string, std::pair<std::string, std::string>> documents;
  for (const auto& document : tx.Find<Document>()) documents[document.id] = {document.label, document.title};
  for (const auto& chunk : tx.Find<Chunk>()) {
    if (!IsOwn(chunk)) continue;
    const auto& [label, title] = documents[chunk.document];
    PutChunk(chunk, label, title);
  }
  commit_ = tx.commit();
}

void ChunkIndex::Apply(std::span<const data::Change> changes, data::ReadTx& tx) {
  const std::unique_lock lock(mutex_);
  for (const auto& change : changes) {
    if (change.table == "chunks") {
      RemoveChunk(change.key);
      const auto chunk = change.kind == data::ChangeKind::kPut ? tx.Get<Chunk>(change.key) : std::nullopt;
      const auto document = chunk && IsOwn(*chunk) ? tx.Get<Document>(chunk->document) : std::nullopt;
      if (document) PutChunk(*chunk, document->label, document->title);
    } else if (change.table == "documents" && change.kind == data::ChangeKind::kPut) {
      if (const auto document = tx.Get<Document>(change.key)) Relabel(document->id, document->label);
    }
  }
  commit_ = tx.commit();
}

void ChunkIndex::PutChunk(const Chunk& chunk, const std::string& label, const std::string& title) {
  std::uint32_t row;
  if (free_rows_.empty()) {
    row = static_cast<std::uint32_t>(rows_.size());
    rows_.emplace_back();
  } else {
    row = free_rows_.back();
    free_rows_.pop_back();
  }
  rows_[row] = {chunk.id, chunk.document};
  row_of_chunk_[chunk.id] = row;
  rows_of_document_[chunk.document].insert(row);
  label_of_document_[chunk.document] = label;
  rows_of_label_[label].Set(row);
  words_.Add(row, title + "\n" + chunk.heading + "\n" + (chunk.context.empty() ? chunk.text : chunk.context + "\n" + chunk.text));
  if (dim_ && chunk.embedding.size() == dim_) vectors_.Put(row, chunk.embedding);
  else rows_without_vector_.insert(row);
}

void ChunkIndex::RemoveChunk(const std::string& id) {
  const auto found = row_of_chunk_.find(id);
  if (found == row_of_chunk_.end()) return;
  const auto row = found->second;
  const auto document = rows_[row].document;
  words_.Remove(row);
  vectors_.Remove(row);
  rows_without_vector_.erase(row);
  rows_of_label_[label_of_document_[document]].Clear(row);
  if (auto& rows = rows_of_document_[document]; rows.erase(row) && rows.empty()) {
    rows_of_document_.erase(document);
    label_of_document_.erase(document);
  }
  row_of_chunk_.erase(found);
  rows_[row] = {};
  free_rows_.push_back(row);
}

void ChunkIndex::Relabel(const std::string& document, const std::string& label) {
  const auto found = label_of_document_.find(document);
  if (found == label_of_document_.end() || found->second == label) return;
  for (const auto row : rows_of_document_[document]) {
    rows_of_label_[found->second].Clear(row);
    rows_of_label_[label].Set(row);
  }
  found->second = label;
}

std::vector<SearchHit> ChunkIndex::Search(const Principal& reader, std::string_view query, std::span<const float> embedding, std::size_t k,
                                           const std::optional<std::set<std::string>>& documents) const {
  const std::shared_lock lock(mutex_);
  Bitmap allowed;
  for (const auto& [label, rows] : rows_of_label_)
    if (reader.MayRead(label)) allowed.Or(rows);
  if (documents) {
    Bitmap narrowed;
    for (const auto& id : *documents)
      if (const auto found = rows_of_document_.find(id); found != rows_of_document_.end())
        for (const auto row : found->second)
          if (allowed.Test(row)) narrowed.Set(row);
    allowed = std::move(narrowed);
  }
  // Each list deep enough that a passage second-rate in one and first-rate in the other is seen.
  const std::size_t depth = std::max<std::size_t>(50, 4 * k);
  const auto by_words = words_.Search(query, allowed, depth);
  const auto by_vector = dim_ && !embedding.empty() ? vectors_.Search(embedding, allowed, depth) : std::vector<Hit>();
  std::unordered_map<std::uint32_t, SearchHit> fused;
  const float unit = by_vector.empty() ? 61.0f : 61.0f / 2;
  for (std::size_t i = 0; i < by_words.size(); ++i) {
    auto& hit = fused[by_words[i].row];
    hit.score += unit / static_cast<float>(60 + i + 1);
    hit.bm25 = by_words[i].score;
  }
  for (std::size_t i = 0; i < by_vector.size(); ++i) {
    auto& hit = fused[by_vector[i].row];
    hit.score += unit / static_cast<float>(60 + i + 1);
    hit.cosine = by_vector[i].score;
  }
  std::vector<std::pair<std::uint32_t, SearchHit>> hits(fused.begin(), fused.end());
  std::sort(hits.begin(), hits.end(), [](const auto& a, const auto& b) { return a.second.score != b.second.score ? a.second.score > b.second.score : a.first < b.first; });
  std::vector<SearchHit> out;
  for (auto& [row, hit] : hits) {
    if (out.size() == k) break;
    hit.chunk = rows_[row].chunk;
    hit.document = rows_[row].document;
    out.push_back(std::move(hit));
  }
  return out;
}

}  // namespace tenfold::retrieval
