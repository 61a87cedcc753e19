#!/usr/bin/env python3
"""Bad days with the real binary: an upload of 2 GB, a full disk, models that were altered, a machine with too little memory.

Usage: bad_days.py BIN. What this machine cannot show (no right to mount, no models in the cache) is left out, saying so. Prints "N passed, N failed".
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

BIN = os.path.abspath(sys.argv[1])
CACHE = pathlib.Path(os.environ.get("TENFOLD_CACHE") or pathlib.Path.home() / ".cache" / "tenfold")


class Server:
    """`around`: words before the command, such as unshare; `inside`: words that put a command where the server is."""

    def __init__(self, home, around=(), inside=lambda pid: ()):
        self.home = home
        self.process = subprocess.Popen([*around, BIN, "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = next((line.split()[1] for line in self.process.stdout if line.startswith("ready ")), None)
        self.inside = inside(self.process.pid)
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url else 0

    def run(self, *command):
        return subprocess.run([*self.inside, *command], capture_output=True, text=True, timeout=60)

    def tenfold(self, *arguments):
        return self.run(BIN, *arguments, "--home", self.home)

    def ask(self, method, path, body=None, key=None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), {"Authorization": f"Bearer {key}"} if key else {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"{}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def resident_mb(self):
        return next(int(line.split()[1]) for line in open(f"/proc/{self.process.pid}/status") if line.startswith("VmRSS")) // 1024


def upload():
    with tempfile.TemporaryDirectory() as home:
        server = Server(home)
        server.tenfold("users", "add", "--user", "a@example.com")
        key = server.tenfold("keys", "create", "--user", "a@example.com").stdout.strip()
        head = f"POST /v1/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 20) as wire:
            wire.sendall((head + "Content-Length: 2147483648\r\n\r\n").encode())
            check("2 GB are refused before they are sent", wire.recv(4096).startswith(b"HTTP/1.1 413"))
        sent, answer = 0, b""
        with socket.create_connection(("127.0.0.1", server.port), 20) as wire:
            wire.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
            try:
                while sent < 2 << 30:
                    wire.sendall(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
                    sent += 1 << 20
            except OSError:
                pass
            try:
                answer = wire.recv(4096)
            except OSError:
                pass
        check("2 GB in chunks are cut off early, and it is said why", sent < 64 << 20 and answer.startswith(b"HTTP/1.1 413"), (sent, answer[:100]))
        check("no memory was spent on them", server.resident_mb() < 120, server.resident_mb())
        check("the server goes on", server.ask("GET", "/v1/me", key=key)[0] == 200)
        server.stop()


def full_disk():
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as help_folder:
        if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", home], capture_output=True).returncode != 0:
            print("left out: the full disk needs the right to mount")
            return
        pathlib.Path(help_folder, "a.md").write_text("# Returns\n\nUnused items may come back within 60 days.\n")
        mount = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=12m tmpfs "{home}" && exec "$@"', "sh"]
        server = Server(home, mount, lambda pid: ["nsenter", "-t", str(pid), "-m"])
        check("it starts on a small disk", server.url)
        check("documents come in", server.tenfold("ingest", f"folder:{help_folder}").returncode == 0)
        key = server.tenfold("keys", "create", "--user", "admin").stdout.strip()
        source = server.ask("GET", "/v1/sources", key=key)[1]["sources"][0]["id"]
        put = lambda name: server.ask("PUT", f"/v1/schedules/{name}", {"cron": "0 3 * * *", "source": source}, key)
        check("before, writes are taken", put("before")[0] == 200)
        server.run("dd", "if=/dev/zero", f"of={home}/filler", "bs=4096")
        said, refused = ["before"], None
        for number in range(5000):  # what is free inside the store's own files is used up first
            status, answer = put(f"s{number}")
            if status != 200:
                refused = (status, answer)
                break
            said.append(f"s{number}")
        check("a full disk is said", refused and refused[0] == 429 and "disk is full" in refused[1]["error"]["message"], refused)
        made = server.tenfold("keys", "create", "--user", "admin")
        check("the command line says it too", made.returncode != 0 and "disk is full" in made.stderr, made.stderr)
        pathlib.Path(help_folder, "b.md").write_text("# Repairs\n\n" + "We mend what we sold. " * 20000)
        code = server.tenfold("ingest", f"folder:{help_folder}")
        check("so does an ingestion", "disk is full" in (code.stdout + code.stderr) or "No space left" in (code.stdout + code.stderr), code.stdout + code.stderr)
        status, found = server.ask("POST", "/v1/search", {"query": "return window days"}, key)
        check("reads go on", status == 200 and found["hits"][0]["document"]["uri"] == "a.md", found)
        check("the server is ready and up", server.ask("GET", "/health")[0] == 200)
        server.run("rm", f"{home}/filler")
        check("with room again, writes are taken again", put("after")[0] == 200)
        said.append("after")
        kept = {s["id"] for s in server.ask("GET", "/v1/schedules", key=key)[1]["schedules"]}
        check(f"none of {len(said)} acknowledged writes is lost, none refused is there", kept == {*said, "collect-originals"}, kept ^ {*said, "collect-originals"})
        check("the ingestion is made up for", server.tenfold("ingest", f"folder:{help_folder}").returncode == 0)
        check("its text is found", server.ask("POST", "/v1/search", {"query": "mend repairs"}, key)[1]["hits"][0]["document"]["uri"] == "b.md")
        check("the store is whole", server.tenfold("check").returncode == 0 and server.tenfold("audit", "verify").returncode == 0)
        check("it ends cleanly", server.stop() == 0)


def models():
    embedder = CACHE / "models" / "all-minilm-l6-v2"
    generator = CACHE / "models" / "qwen2.5-coder-0.5b-instruct"
    if not (embedder / "model.safetensors").exists():
        print("left out: altered models and too little memory need the models: make models")
        return
    start = lambda home, cache, limit=None: subprocess.run([BIN, "up", "--home", home, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=120, env={**os.environ, "TENFOLD_CACHE": str(cache)},
                                                           preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    with tempfile.TemporaryDirectory() as root:
        cache = pathlib.Path(root, "cache")
        shutil.copytree(embedder, cache / "models" / "all-minilm-l6-v2")
        weights = cache / "models" / "all-minilm-l6-v2" / "model.safetensors"
        with open(weights, "r+b") as file:
            file.seek(40_000_000)
            byte = file.read(1)
            file.seek(40_000_000)
            file.write(bytes([byte[0] ^ 1]))
        altered = start(os.path.join(root, "a"), cache)
        check("one altered bit of a model is found and the fix named", altered.returncode != 0 and "altered" in altered.stderr and "models pull all-minilm-l6-v2" in altered.stderr, altered.stderr[-300:])
        os.truncate(weights, 1_000_000)
        cut = start(os.path.join(root, "b"), cache)
        check("a model cut short is found", cut.returncode != 0 and "cut short" in cut.stderr, cut.stderr[-300:])
        limit = 900 << 20
        probe = subprocess.run([BIN, "--version"], capture_output=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        if probe.returncode != 0:
            print("left out: too little memory cannot be shown under a sanitizer, which needs more than that for itself")
        elif (generator / "model.gguf").exists():
            # Twice: where the model is prepared already, and where preparing it is what finds too little.
            fresh = pathlib.Path(root, "fresh")
            for model in (embedder, generator):
                folder = fresh / "models" / model.name
                folder.mkdir(parents=True)
                for file in model.iterdir():
                    if ".q4_0." not in file.name and ".q8_0." not in file.name:
                        (folder / file.name).symlink_to(file)
            for number, (cache, when) in enumerate(((CACHE, "for a model"), (fresh, "to prepare a model"))):
                small = start(os.path.join(root, f"c{number}"), cache, limit)
                last = (small.stderr.splitlines() or [""])[-1]
                check(f"too little memory {when} is said as that", small.returncode != 0 and "memory" in last and "smaller model" in last, small.stderr[-300:])
            check("nothing half-prepared is left", not list(fresh.rglob("*.part*")) and not list(fresh.rglob("*.q4_0.gguf")), list(fresh.rglob("*")))


upload()
full_disk()
models()
checks.finish()
