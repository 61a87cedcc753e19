#pragma once
/// \file Documents and their passages, as the store keeps them.
#include <string>
#include <vector>

#include "data/parse.h"
#include "data/store.h"

namespace tenfold::retrieval {

/// A document as text. `label` decides who may read it; it is copied to no chunk, so it changes in one place.
struct Document {
  std::string id;  ///< hash of source and path: stable over edits
  std::string source;
  std::string uri;
  std::string title;
  std::string label;  ///< labels that may read it, as in Principal::MayRead
  std::string media_type;
  std::string content_hash;  ///< SHA-256 of the bytes it was made of: their id in the object store
  std::string text;
  std::int64_t version = 1;
  std::int64_t updated_us = 0;
  std::string link = {};         ///< where a person opens it in its source; may be empty
  std::string fingerprint = {};  ///< data::SourceItem::fingerprint of what was read
  JsonObject metadata = {};      ///< flat: what filters and facets know of it
};
TENFOLD_DESCRIBE(Document, (id), (source), (uri), (title), (label), (media_type), (content_hash), (text), (version), (updated_us), (link), (fingerprint), (metadata))
TENFOLD_TABLE(Document, "documents", id, {"source", "content_hash"})

/// A passage. Its text is document.text[begin_byte, end_byte).
struct Chunk {
  std::string id;
  std::string document;
  std::int64_t begin_byte = 0;
  std::int64_t end_byte = 0;
  std::string heading;
  std::string text;
  std::vector<float> embedding;  ///< empty when no embedder was there
  std::vector<std::int8_t> sentences;  ///< [sentences, dim], each sentence of `text` embedded and scaled to -127..127; empty as above
  std::string generation = {};   ///< which build of the index it belongs to; see generations.h
  std::string context = {};      ///< said of the passage for search alone: read by the embedder and the word index, not shown
  std::int64_t parent_begin = 0; ///< what is given for it: a larger passage around it; 0, 0: itself
  std::int64_t parent_end = 0;
};
TENFOLD_DESCRIBE(Chunk, (id), (document), (begin_byte), (end_byte), (heading), (text), (embedding), (sentences), (generation), (context), (parent_begin), (parent_end))
TENFOLD_TABLE(Chunk, "chunks", id, {"document"}, {{"documents", "document"}})

/// Where a document's text stands on its pages. Apart from Document, because only a citation's viewer reads it.
struct DocumentLayout {
  std::string document;
  std::vector<data::TextBox> boxes;  ///< ascending by begin
  std::vector<data::PageSize> pages;
};
TENFOLD_DESCRIBE(DocumentLayout, (document), (boxes), (pages))
TENFOLD_TABLE(DocumentLayout, "document_layouts", document, {}, {{"documents", "document"}})

}  // namespace tenfold::retrieval
