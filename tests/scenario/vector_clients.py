#!/usr/bin/env python3
"""The clients of vector databases, unmodified, against the real binary: pinecone 10, LangChain's store (pinecone 7), LlamaIndex's (pinecone 9), openai's vector stores, weaviate
with LangChain's store and LlamaIndex's, and our own `pinecone:` back end.

Usage: vector_clients.py BIN [RETRIEVAL_TEST]. With the embedding model in the cache indexes of texts are tested too. Prints "N passed, N failed".
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
CONTRACT = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("TENFOLD_CACHE") or pathlib.Path.home() / ".cache" / "tenfold")
EMBEDDER = "all-minilm-l6-v2"
passed = failed = 0


def run(what, command, environment=None):
    global passed, failed
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, env={**os.environ, **(environment or {})})
        output = done.stdout
    except subprocess.TimeoutExpired as e:
        output = f"took longer than 300 s: {e.stdout}"
    print(f"== {what}\n{output.strip()[-3000:]}")
    if found := re.search(r"(\d+) passed, (\d+) failed", output):
        passed, failed = passed + int(found[1]), failed + int(found[2])
    elif found := re.search(r"PASSED  \] (\d+) test", output):
        passed, failed = passed + int(found[1]), failed + len(re.findall(r"^\[  FAILED  \] .*\(\d+ ms\)", output, re.M))
    else:
        failed += 1


with_model = (CACHE / "models" / EMBEDDER / "model.safetensors").exists()
with tempfile.TemporaryDirectory() as home:
    pathlib.Path(home, "tenfold.yaml").write_text(f"server:\n  grpc_listen: 127.0.0.1:0\nmodels:\n  embedder: {EMBEDDER}\n  generator: none\n")
    server = subprocess.Popen([BIN, "up", "--home", home, "--listen", "127.0.0.1:0", *([] if with_model else ["--no-models"])], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said = {}
    for line in server.stdout:
        said.update([line.split(maxsplit=1)])
        if line.startswith("ready "):
            break
    url, grpc = said.get("ready", "").strip(), said.get("grpc", "").strip()
    if not url or not grpc:
        print("FAILED the server did not start\n0 passed, 1 failed")
        sys.exit(1)
    try:

        def key_of(name):
            subprocess.run([BIN, "users", "add", "--user", name, "--role", "agent", "--home", home], capture_output=True, check=True)
            return subprocess.run([BIN, "keys", "create", "--user", name, "--home", home], capture_output=True, text=True, check=True).stdout.strip()

        key, other = key_of("ana@example.com"), key_of("bob@example.com")
        clients = pathlib.Path(subprocess.run([ROOT / "scripts" / "fetch_vector_clients"], capture_output=True, text=True, check=True).stdout.strip())
        for name in ("pinecone", "langchain", "llama-index"):
            run(name, [clients / name / "bin" / "python", ROOT / "tests" / "clients" / "pinecone_client.py", url, key, other, *([EMBEDDER] if with_model else [])])
        openai = pathlib.Path(subprocess.run([ROOT / "scripts" / "fetch_clients"], capture_output=True, text=True, check=True).stdout.strip())
        run("openai's vector stores", [openai / "bin" / "python", ROOT / "tests" / "clients" / "openai_vector_stores.py", url, key, other])
        for name in ("weaviate", "langchain-weaviate", "llama-index-weaviate"):
            run(name, [clients / name / "bin" / "python", "-W", "ignore", ROOT / "tests" / "clients" / "weaviate_client.py", url, grpc.rsplit(":", 1)[1], key, other, *([EMBEDDER] if with_model else [])])
        run("a second server on the same port of gRPC", [sys.executable, ROOT / "tests" / "scenario" / "grpc_port_taken.py", BIN, grpc])
        if CONTRACT:
            run("the contract of search indexes over pinecone:", [CONTRACT, "--gtest_brief=1", "--gtest_filter=*SearchIndexContract*/pinecone"], {"TENFOLD_TEST_PINECONE": url, "PINECONE_API_KEY": key})
    finally:
        server.terminate()
        server.wait(20)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
