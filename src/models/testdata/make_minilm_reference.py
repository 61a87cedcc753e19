"""Writes minilm_reference.json: token ids (Hugging Face `tokenizers`) and embeddings (this float64 re-statement of BERT, independent of
our C++) for varied texts. Run: pip install numpy tokenizers safetensors; python3 make_minilm_reference.py MODEL_FOLDER > minilm_reference.json"""
import json, math, sys
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

folder = sys.argv[1]
w = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in load_file(folder + "/model.safetensors").items()}
tok = Tokenizer.from_file(folder + "/tokenizer.json")
tok.no_padding()
tok.no_truncation()
erf = np.vectorize(math.erf)
HEADS, LAYERS, MAX = 12, 6, 256

def norm(x, p):
    m = x.mean(-1, keepdims=True)
    return (x - m) / np.sqrt(((x - m) ** 2).mean(-1, keepdims=True) + 1e-12) * w[p + ".weight"] + w[p + ".bias"]

def lin(x, p):
    return x @ w[p + ".weight"].T + w[p + ".bias"]

def embed(ids):
    t = len(ids)
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:t] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(LAYERS):
        p = f"encoder.layer.{i}."
        split = lambda y: y.reshape(t, HEADS, -1).transpose(1, 0, 2)
        q, k, v = (split(lin(x, p + "attention.self." + n)) for n in ("query", "key", "value"))
        s = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        s = np.exp(s - s.max(-1, keepdims=True))
        s /= s.sum(-1, keepdims=True)
        x = norm(x + lin((s @ v).transpose(1, 0, 2).reshape(t, -1), p + "attention.output.dense"), p + "attention.output.LayerNorm")
        h = lin(x, p + "intermediate.dense")
        h = h * 0.5 * (1 + erf(h / math.sqrt(2)))
        x = norm(x + lin(h, p + "output.dense"), p + "output.LayerNorm")
    y = x.mean(0)
    return y / np.linalg.norm(y)

texts = [
    "This is an example sentence",
    "How do I return a pair of shoes that does not fit?",
    "",
    "Où est passée ma commande n° 4711 ? Elle devait arriver à Orléans – déjà !",
    "我的订单什么时候送到？请尽快回复。",
    "東京タワーの高さは333メートルです",
    "Привет, Мир! Это ТЕСТ токенизатора.",
    "naïve café résumé ÅNGSTRÖM İstanbul straße ΣΊΣΥΦΟΣ",
    "!!! ??? ... --- ((())) [x] {y} <z> @#$%^&*_+=|~`",
    "email me at jane.doe@example.com or visit https://shop.example.com/a?b=c&d=1 (ref #A-12/B)",
    "emoji 😀 and zero\u200bwidth, tab\tnewline\nnbsp\u00a0end \u0007bell",
    "한국어 문장도 처리합니다",
    "a" * 120 + " supercalifragilisticexpialidocious",
    "The refund takes five to seven working days after the parcel reaches our warehouse. " * 40,
]
cases = []
for text in texts:
    ids = tok.encode(text).ids
    cut = ids if len(ids) <= MAX else ids[:MAX - 1] + ids[-1:]
    cases.append({"text": text, "tokens": len(ids), "ids": cut, "vector": [round(float(f), 6) for f in embed(cut)]})
# The values the model's makers and users print for this sentence.
published = [0.0676569, 0.0634959, 0.0487131, 0.0793049, 0.0374480]
assert np.abs(np.array(cases[0]["vector"][:5]) - published).max() < 1e-5, cases[0]["vector"][:5]
print('{"cases": [\n' + ",\n".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) for c in cases) + "\n]}")
