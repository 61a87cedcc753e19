#!/usr/bin/env python3
"""Checks that every expected fact of questions.yaml stands in an article it must be cited from. Prints "N passed, N failed"."""
import json
import pathlib
import re
import zipfile

HERE = pathlib.Path(__file__).parent


def text_of(name):
    path = HERE / "help" / name
    if path.suffix == ".docx":
        return re.sub(r"<[^>]+>", " ", zipfile.ZipFile(path).read("word/document.xml").decode())
    text = path.read_bytes().decode("utf-8", "replace")
    return re.sub(r"<[^>]+>", " ", text) if path.suffix == ".html" else text


passed = failed = 0
for line in (HERE / "questions.yaml").read_text().splitlines():
    if not line.startswith("- "):
        continue
    row = json.loads(line[2:])  # each row is written as JSON, which is YAML too
    articles = row.get("cite", []) + row.get("cite_all", [])
    if not articles:
        continue
    text = re.sub(r"[*\s]+", " ", " ".join(text_of(name) for name in articles)).lower()
    for alternatives in row.get("must", []):
        found = any(one.lower() in text for one in alternatives)
        passed, failed = passed + found, failed + (not found)
        if not found:
            print(f"FAILED {row['id']}: none of {alternatives} in {articles}")
print(f"{passed} passed, {failed} failed")
