"""FAISS itself on the other side of index files. usage: faiss_files.py write DIR | search DIR
write: an index of each kind, FILE.index, with what FAISS says it holds beside it: FILE.ids (int64) and FILE.vectors (float32).
search: reads each *.index with *.queries (float32) beside it and writes what it finds, ten a query: *.found (int64) and *.scores (float32)."""
import pathlib, sys
import faiss, numpy as np

D, N = 16, 1500
folder = pathlib.Path(sys.argv[2])


def write():
    rng = np.random.default_rng(1)
    data = rng.standard_normal((N, D)).astype(np.float32)
    for name, metric in (("l2", faiss.METRIC_L2), ("ip", faiss.METRIC_INNER_PRODUCT)):
        for key in ("Flat", "IVF16,Flat", "IVF900,Flat", "IVF16,PQ8np", "IVF16,PQ4x4np", "PQ8np", "PQ4x6np", "HNSW16,Flat", "IDMap,Flat", "IDMap2,HNSW8,Flat", "IVF64_HNSW8,Flat"):
            index = faiss.index_factory(D, key, metric)
            index.train(data)
            ids = np.arange(N, dtype=np.int64)
            if key.startswith("IDMap") or key.startswith("IVF"):
                ids = ids * 3 + 7
                index.add_with_ids(data, ids)
            else:
                index.add(data)
            file = folder / f"{key.replace(',', '_')}_{name}"
            faiss.write_index(index, f"{file}.index")
            if key.startswith("IVF"):
                index.set_direct_map_type(faiss.DirectMap.Hashtable)
                vectors = np.stack([index.reconstruct(int(i)) for i in ids])
                if key == "IVF16,Flat":
                    faiss.write_index(index, f"{file}.index")  # with its map
            else:
                inner = faiss.downcast_index(index.index) if key.startswith("IDMap") else index
                vectors = inner.reconstruct_n(0, N)
            ids.tofile(f"{file}.ids")
            vectors.astype(np.float32).tofile(f"{file}.vectors")
        if name == "l2":
            faiss.write_index(faiss.index_factory(D, "SQ8"), str(folder / "unknown.other"))
            faiss.write_index(faiss.IndexFlat(D, faiss.METRIC_L1), str(folder / "metric.other"))
            faiss.write_index(faiss.IndexFlatL2(D), str(folder / "empty.other"))


def search():
    for file in sorted(folder.glob("*.index")):
        index = faiss.read_index(str(file))
        if hasattr(index, "nprobe"):
            index.nprobe = index.nlist
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = 256
        queries = np.fromfile(file.with_suffix(".queries"), dtype=np.float32).reshape(-1, index.d)
        scores, found = index.search(queries, 10)
        found.astype(np.int64).tofile(file.with_suffix(".found"))
        scores.astype(np.float32).tofile(file.with_suffix(".scores"))


{"write": write, "search": search}[sys.argv[1]]()
