#!/usr/bin/env python3
"""The sample shop with the real binary: the unmodified openai package, the AI SDK's transport, and a real browser.

Usage: shop.py BIN. With the models in the cache (tenfold models pull) the whole stack answers; without them the passages are quoted and what needs a model is
left out, saying so. Prints "N passed, N failed".
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("TENFOLD_CACHE") or pathlib.Path.home() / ".cache" / "tenfold")
MODEL = "qwen2.5-coder-0.5b-instruct"
passed = failed = 0


def count(what, output):
    global passed, failed
    print(f"== {what}\n{output.strip()[-3000:]}")
    found = re.search(r"(\d+) passed, (\d+) failed", output)
    passed, failed = (passed + int(found[1]), failed + int(found[2])) if found else (passed, failed + 1)


def run(what, command, timeout=300):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
        count(what, done.stdout)
    except subprocess.TimeoutExpired as e:
        count(what, f"took longer than {timeout} s: {e.stdout}")


def node_path():
    return subprocess.run([ROOT / "scripts" / "fetch_node"], capture_output=True, text=True, check=True).stdout.strip()


def start(home, *options):
    """The server over the sample shop, and its address."""
    server = subprocess.Popen([BIN, "up", "--home", home, "--listen", "127.0.0.1:0", "--example", "shop", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, next((line.split()[1] for line in server.stdout if line.startswith("ready ")), None)


with_models = (CACHE / "models" / MODEL / "model.gguf").exists() and (CACHE / "models" / "all-minilm-l6-v2" / "model.safetensors").exists()
run("facts of the questions stand in their articles", ["python3", ROOT / "examples" / "shop" / "check_questions.py"])
with tempfile.TemporaryDirectory() as home:
    server, url = start(home, *([] if with_models else ["--no-models"]))
    if not url:
        print("FAILED the server did not start\n0 passed, 1 failed")
        sys.exit(1)
    try:
        key = subprocess.run([BIN, "keys", "create", "--user", "mara.lindt@example.com", "--home", home], capture_output=True, text=True, check=True).stdout.strip()
        clients = pathlib.Path(subprocess.run([ROOT / "scripts" / "fetch_clients"], capture_output=True, text=True, check=True).stdout.strip())
        run("openai", [clients / "bin" / "python", ROOT / "tests" / "clients" / "openai_client.py", url, key, *([MODEL] if with_models else [])])
        node = os.path.join(node_path(), "node")
        run("AI SDK over a WebSocket", [node, ROOT / "tests" / "clients" / "chat_socket.mjs", clients, url, key])
        if (ROOT / "web" / "node_modules").exists():
            run("AI SDK", [node, ROOT / "tests" / "clients" / "use_chat.mjs", url, key])
            if shutil.which("chromium"):
                run("browser", [node, ROOT / "tests" / "browser" / "assistant.test.mjs", url])
                with tempfile.TemporaryDirectory() as other:  # reads a site on this machine
                    pathlib.Path(other, "tenfold.yaml").write_text("data:\n  private_addresses: true\nserver:\n  grpc_listen: 127.0.0.1:0\n")
                    second, second_url = start(other, "--no-models")
                    try:
                        run("browser, sources", [node, ROOT / "tests" / "browser" / "sources.test.mjs", second_url])
                    finally:
                        second.terminate()
                        second.wait(20)
            else:
                print("left out: the browser test needs chromium")
        else:
            print("left out: the AI SDK and browser tests need 'make web'")
        if with_models:
            # The openai: back end against a real server of that protocol: another Tenfold.
            with tempfile.TemporaryDirectory() as other:
                pathlib.Path(other, "tenfold.yaml").write_text(f'models:\n  generator: "openai:{url}/v1#{MODEL}"\n  embedder: "openai:{url}/v1#all-minilm-l6-v2"\n')
                environment = {**os.environ, "OPENAI_API_KEY": key}
                ingest = subprocess.run([BIN, "ingest", f"folder:{ROOT}/examples/shop/help", "--home", other], env=environment, capture_output=True, text=True, timeout=300)
                ask = subprocess.run([BIN, "ask", "How long do I have to return an item?", "--json", "--home", other], env=environment, capture_output=True, text=True, timeout=120)
                good = ingest.returncode == 0 and ask.returncode == 0 and "60 days" in ask.stdout and f"openai:{url}" in ask.stdout
                count("openai: back ends", "1 passed, 0 failed" if good else f"{ingest.stderr[-500:]} {ask.stdout} {ask.stderr}\n0 passed, 1 failed")
                wrong = subprocess.run([BIN, "ask", "How long do I have to return an item?", "--home", other], env={**os.environ, "OPENAI_API_KEY": "wrong"}, capture_output=True, text=True, timeout=120)
                count("openai: with a wrong key", "1 passed, 0 failed" if wrong.returncode == 4 and "401" in wrong.stderr else f"{wrong.returncode} {wrong.stderr}\n0 passed, 1 failed")
    finally:
        server.terminate()
        server.wait(20)
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
