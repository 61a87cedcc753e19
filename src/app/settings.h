#pragma once
/// \file tenfold.yaml: fewer than thirty settings a person must know. Unknown keys and bad values are refused with file, line and nearest name.
#include <filesystem>
#include <string>

#include "base/describe.h"
#include "retrieval/tokenize.h"

namespace tenfold::app {

struct ServerSettings {
  std::string listen = "127.0.0.1:8080";
  std::string grpc_listen = "127.0.0.1:50051";
  std::uint32_t io_threads = 1;
  std::uint32_t pool_threads = 16;
  std::uint32_t queue = 256;
  std::string log_level = "info";
  std::string tls_certificate;
  std::string tls_key;
};
TENFOLD_DESCRIBE(ServerSettings, (listen, Doc{"address and port to serve on"}), (grpc_listen, Doc{"address and port of gRPC, for clients of Weaviate; empty: none"}), (io_threads, Range{1, 64}, Doc{"threads that read and write sockets"}),
                 (pool_threads, Range{1, 512}, Doc{"requests at work at once"}), (queue, Range{0, 100000}, Doc{"requests that may wait; further ones get 429"}),
                 (log_level, Doc{"debug, info, warning or error"}), (tls_certificate, Doc{"PEM file with the chain; if set, only https: is served. A relative path is inside the data folder"}),
                 (tls_key, Doc{"PEM file with the certificate's key"}))

struct DataSettings {
  std::string store = "sqlite:store.db";
  std::string objects = "file:objects";
  std::string sandbox = "strict";
  bool private_addresses = false;
};
TENFOLD_DESCRIBE(DataSettings, (store, Doc{"where rows lie; a relative path is inside the data folder"}),
                 (objects, Doc{"where big bytes lie, such as the originals of documents; a relative path is inside the data folder"}),
                 (sandbox, Doc{"strict, or without_landlock for a kernel that has none"}),
                 (private_addresses, Doc{"lets web:, notion:, github: and openapi: reach this machine and private networks, such as an intranet"}))

struct ModelSettings {
  std::string generator = "qwen2.5-coder-0.5b-instruct";
  std::string embedder = "all-minilm-l6-v2";
  std::uint32_t threads = 2;
  std::uint32_t context_tokens = 4096;
  std::uint32_t queue = 8;
  std::uint32_t embedding_cache_mb = 1024;
};
TENFOLD_DESCRIBE(ModelSettings, (generator, Doc{"what a new data folder answers with: a model of 'tenfold models list', openai:URL#MODEL, or none"}), (embedder, Doc{"what texts are embedded with, or none"}),
                 (threads, Range{1, 256}, Doc{"CPU threads of a model"}), (context_tokens, Range{512, 131072}, Doc{"longest prompt and answer together"}),
                 (queue, Range{1, 1024}, Doc{"requests that may wait for a model; further ones get 429"}),
                 (embedding_cache_mb, Range{0, 1048576}, Doc{"megabytes of embeddings kept on disk for each embedding model, so that no text is embedded twice; 0: none"}))

struct RetrievalSettings {
  std::uint32_t chunk_tokens = 180;
  retrieval::Language language = retrieval::Language::kEnglish;
  std::string index = "embedded:";
  std::string index_fallback = "none";
  std::string reranker = "none";
  std::uint32_t rerank_passages = 10;
  std::uint32_t rerank_ms = 1000;
};
TENFOLD_DESCRIBE(RetrievalSettings, (chunk_tokens, Range{32, 512}, Doc{"largest passage"}),
                 (language, Doc{"whose stems the word index of a new data folder knows: english, danish, dutch, finnish, french, german, hungarian, italian, norwegian, portuguese, romanian, russian, spanish, swedish, turkish or none"}),
                 (index, Doc{"what a new data folder is searched in: embedded:, or an engine: postgresql://…, weaviate:URL/Class, pinecone:NAME"}),
                 (index_fallback, Doc{"while the engine does not answer: none is an error, words searches words alone"}),
                 (reranker, Doc{"a model that re-ranks the first passages: file:FOLDER of a BERT cross-encoder, cohere:MODEL, jina:URL#MODEL (also vLLM), tei:URL, or none"}),
                 (rerank_passages, Range{2, 200}, Doc{"how many of the first passages it reads"}), (rerank_ms, Range{10, 60000}, Doc{"how long it may take; then the order of the search stands"}))

struct WorkflowSettings {
  std::uint32_t threads = 4;
};
TENFOLD_DESCRIBE(WorkflowSettings, (threads, Range{1, 64}, Doc{"runs at work at once"}))

struct Settings {
  ServerSettings server;
  DataSettings data;
  ModelSettings models;
  RetrievalSettings retrieval;
  WorkflowSettings workflows;
};
TENFOLD_DESCRIBE(Settings, (server), (data), (models), (retrieval), (workflows))

/// Defaults if `file` does not exist. Errors: kInvalidArgument "tenfold.yaml:12: server.lsten: unknown field 'lsten', did you mean 'listen'".
Settings LoadSettings(const std::filesystem::path& file);
/// The file `tenfold init` writes: every setting with its default and what it means.
std::string DefaultSettingsFile();

}  // namespace tenfold::app
