"""Makes tiny_cross_encoder/: a BertForSequenceClassification with random weights as `transformers` saves it, and reference.json with what transformers says of pairs of texts.
It ranks nothing: it is there so that our forward pass can be compared with theirs. Ran with transformers 5.24.0, tokenizers 0.23.3, torch 2.15.0.
usage: make_tiny_cross_encoder.py   (in an environment that has transformers and torch)"""
import json, os, pathlib, random
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification

folder = pathlib.Path(__file__).resolve().parent / "tiny_cross_encoder"
folder.mkdir(exist_ok=True)
words = "the a of to in is are how what when where do i my return order boots tent rain lamp battery charge refund days ship shipping water proof waterproof light camp stove gas safe free thirty pay card cancel account password reset leave work home policy vacation".split()
letters = [c for c in "abcdefghijklmnopqrstuvwxyz0123456789.,?!-'"]
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters + ["##" + c for c in letters[:36]] + [w for w in words if len(w) > 1] + ["##s", "##ing", "##ed", "##er"][1:]
(folder / "vocab.txt").write_text("\n".join(vocab) + "\n")
tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"), lowercase=True)
tokenizer.enable_truncation(48, strategy="longest_first")
torch.manual_seed(7)
config = BertConfig(vocab_size=len(vocab), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, max_position_embeddings=48, num_labels=1, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
model = BertForSequenceClassification(config).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if p.dim() > 1:
            p.normal_(0, 0.25)
        elif "LayerNorm.weight" not in name:
            p.normal_(0, 0.1)
        p.copy_(p.half().float())  # what is kept is what is computed with
    model.classifier.weight.mul_(2)
model.half().save_pretrained(folder)
model.float()
rng = random.Random(3)
pairs = [("how do i return boots", "Return boots in thirty days."), ("how do i return boots", "The lamp is charged in the tent."), ("Refund?", "A refund is free."), ("", "empty query"), ("water-proof tents", ""), ("", ""),
         ("Überraschung 漢字", "Café – naïve text"), ("what is the policy", " ".join(rng.choice(words) for _ in range(90))), (" ".join(rng.choice(words) for _ in range(90)), "short"),
         (" ".join(rng.choice(words) for _ in range(60)), " ".join(rng.choice(words) for _ in range(60))), (" ".join(rng.choice(words) for _ in range(23)), " ".join(rng.choice(words) for _ in range(22))),
         (" ".join(rng.choice(words) for _ in range(22)), " ".join(rng.choice(words) for _ in range(24)))]
cases = []
for query, passage in pairs:
    encoded = tokenizer.encode(query, passage)
    with torch.no_grad():
        logit = model(input_ids=torch.tensor([encoded.ids]), token_type_ids=torch.tensor([encoded.type_ids])).logits[0, 0].item()
    cases.append({"query": query, "passage": passage, "ids": encoded.ids, "types": encoded.type_ids, "logit": logit})
(folder / "reference.json").write_text(json.dumps({"cases": cases}, ensure_ascii=False, indent=0) + "\n")
os.chmod(folder / "model.safetensors", 0o644)
print([round(c["logit"], 3) for c in cases])
