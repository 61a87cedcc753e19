"""One peer of bench/embed_peers: the same model and texts through ONNX Runtime (fp32) or sentence-transformers, one JSON line.

Usage: embed_peers.py ort|st CATALOG_MODEL_FOLDER WORK_FOLDER THREADS PASSAGES.txt QUERIES.txt [VECTORS.npy]
One text a line; all passages, the best of 3; each query alone, the middle one. WORK_FOLDER keeps what the peers need beside the weights: tokenizer.json, the folder
that sentence-transformers reads, the ONNX graph (exported from the weights the first time).
"""
import json
import os
import pathlib
import sys
import time

kind, source, work, threads = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
passages, queries = [open(path).read().splitlines() for path in sys.argv[5:7]]
os.environ["OMP_NUM_THREADS"] = str(threads)
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import numpy as np

BATCH = 32
MAX_TOKENS = 256
folder = work / "model"


def prepare():
    """The catalogue keeps weights, sizes and vocabulary; the rest of a sentence-transformers folder is made from them."""
    if (folder / "modules.json").exists():
        return
    import tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to((source / name).resolve())
    tokenizers.BertWordPieceTokenizer(str(source / "vocab.txt"), lowercase=True).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": MAX_TOKENS, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
    names = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    (folder / "2_Normalize").mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps([{"idx": int(i), "name": i, "path": path, "type": "sentence_transformers.models." + type_} for i, path, type_ in names]))


def with_ort():
    import onnxruntime
    import tokenizers

    path = work / "model.onnx"
    if not path.exists():
        import torch
        import transformers

        class Hidden(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

            def forward(self, ids, mask, types):
                return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

        example = (torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long), torch.zeros(2, 8, dtype=torch.long))
        names = ["input_ids", "attention_mask", "token_type_ids"]
        axes = {name: {0: "b", 1: "t"} for name in names + ["last_hidden_state"]}
        torch.onnx.export(Hidden().eval(), example, str(path) + ".new", input_names=names, output_names=["last_hidden_state"], dynamic_axes=axes, opset_version=17, dynamo=False)
        os.rename(str(path) + ".new", path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()

    def embed(texts):
        out = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))  # by length, as sentence-transformers does: less padding
        for at in range(0, len(order), BATCH):
            part = order[at : at + BATCH]
            encoded = tokenizer.encode_batch([texts[i] for i in part])
            ids = np.array([e.ids for e in encoded], dtype=np.int64)
            mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
            hidden = session.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]
            mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            for i, vector in zip(part, mean / np.linalg.norm(mean, axis=1, keepdims=True)):
                out[i] = vector
        return np.array(out)

    return embed, onnxruntime.__version__


def with_st():
    import sentence_transformers
    import torch

    torch.set_num_threads(threads)
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    return (lambda texts: model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)), sentence_transformers.__version__


prepare()
embed, version = with_ort() if kind == "ort" else with_st()
embed(passages[:32])
best = 1e9
for _ in range(3):
    begun = time.perf_counter()
    vectors = embed(passages)
    best = min(best, time.perf_counter() - begun)
times = []
for query in queries:
    begun = time.perf_counter()
    embed([query])
    times.append((time.perf_counter() - begun) * 1e6)
times.sort()
if len(sys.argv) > 7:
    np.save(sys.argv[7], np.asarray(vectors, dtype=np.float32))
print(json.dumps({"peer": kind, "version": version, "texts_per_s": round(len(passages) / best, 1), "query_p50_us": round(times[len(times) // 2])}))
