// Durable commits a second through Store::Write, 1 and 32 writers. Usage: store_bench [folder]
#include <cstdio>
#include <thread>

#include "base/files.h"
#include "data/store.h"

namespace tenfold::data {
namespace {
struct Row {
  std::string id;
  std::string text;
};
TENFOLD_DESCRIBE(Row, (id), (text))
TENFOLD_TABLE(Row, "rows", id)

double Measure(Store& store, int writers, int writes_each) {
  const auto ctx = Context::System("bench");
  const auto started = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < writes_each; ++i) {
        const Row row{NewId("row"), "writer " + std::to_string(w)};
        store.Write(ctx, [&](WriteTx& tx) { tx.Add(row); });
      }
    });
  for (auto& thread : threads) thread.join();
  return writers * writes_each / std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}
}  // namespace
}  // namespace tenfold::data

int main(int argc, char** argv) {
  using namespace tenfold::data;
  const tenfold::TemporaryFolder folder;
  const auto path = (argc > 1 ? std::filesystem::path(argv[1]) : folder.path()) / "bench.db";
  auto store = OpenSqliteStore(path.string(), {TableOf<Row>()});
  std::printf("1 writer: %.0f durable commits/s\n", Measure(*store, 1, 2000));
  std::printf("32 writers: %.0f durable commits/s\n", Measure(*store, 32, 1000));
}
