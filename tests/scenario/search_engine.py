"""The real program with `retrieval.index: postgresql:…` and a real PostgreSQL: the engine away, kill -9 between commit and delivery and in the middle of ingestion, removal and new readers.
usage: search_engine.py TENFOLD   Left out, with the reason said, where scripts/fetch_servers cannot install the server. Prints "N passed, N failed"."""
import json, os, pathlib, random, shutil, signal, subprocess, sys, tempfile, threading, time, urllib.error, urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "servers"))
import checks
from checks import check
from postgresql import free_port, start_postgresql

tenfold = os.path.abspath(sys.argv[1])
root = pathlib.Path(__file__).resolve().parents[2]
random.seed(int(os.environ.get("SEED", "5")))


class Server:
    def __init__(self, home):
        self.process = subprocess.Popen([tenfold, "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("ready "):
                self.url = line.split()[1]
                return
        raise SystemExit("the server did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def ask(self, path, body=None, key=None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), {"Authorization": f"Bearer {key}"} if key else {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"{}")

    def await_index(self):
        until = time.monotonic() + 60
        while self.ask("/ready")[1]["parts"]["index"] != "ready":
            assert time.monotonic() < until, self.ask("/ready")
            time.sleep(0.02)


def run(home, *arguments, status=0):
    done = subprocess.run([tenfold, *map(str, arguments), "--home", str(home)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def texts_in_engine(home, url, folder):
    names = [one["name"] for one in json.loads(run(home, "index", "list", url, "--dim", 0, "--json").stdout)["namespaces"]]
    out = {}
    for name in names:
        run(home, "index", "export", url, folder / "engine.jsonl", "--dim", 0, "--namespace", name)
        for record in map(json.loads, open(folder / "engine.jsonl")):
            out[record["text"].strip()] = record["access"]
    return names, out


def scenario(folder, servers):
    home, docs, port = folder / "home", folder / "docs", free_port()
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres?table=passages"
    home.mkdir()
    docs.mkdir()
    (home / "tenfold.yaml").write_text(f"models:\n  embedder: none\nretrieval:\n  index: {url}\n")
    for i in range(60):
        (docs / f"{i}.md").write_text(f"Page {i} about tents, number {i}.")
    run(home, "users", "add", "--user", "ana@example.com", "--role", "agent")
    key = run(home, "keys", "create", "--user", "ana@example.com").stdout.strip()

    # The engine is not even there: what is ingested is acknowledged, a search is an error, and the process is killed before anything was delivered.
    server = Server(home)
    report = json.loads(run(home, "ingest", f"folder:{docs}", "--label", "public", "--json").stdout)
    check("ingestion needs no engine", report["added"] == 60, report)
    status, answer = server.ask("/v1/search", {"query": "tents number 7"}, key)
    check("a search without its engine is an error that names it", status == 503 and "postgresql://" in json.dumps(answer), (status, answer))
    status, ready = server.ask("/ready")
    check("and /ready says so", ready["parts"]["index"] not in ("ready", "behind"), ready)
    server.kill()
    postgresql, _ = start_postgresql(servers, folder / "server", port)
    try:
        server = Server(home)
        server.await_index()
        status, answer = server.ask("/v1/search", {"query": "tents number 7", "k": 60}, key)
        check("what was acknowledged is found after a kill", status == 200 and len(answer["hits"]) == 60 and "number 7." in json.dumps(answer["hits"][:8]), (status, len(answer.get("hits", []))))
        names, held = texts_in_engine(home, url, folder)
        check("the engine has each passage once, with its readers", len(names) == 1 and len(held) == 60 and set(held.values()) == {"public"}, (names, len(held)))

        # New readers and removals are true at once, whatever the engine has.
        run(home, "ingest", f"folder:{docs}", "--label", "group:board", "--json")
        check("new readers hold at once", server.ask("/v1/search", {"query": "tents"}, key)[1]["hits"] == [])
        run(home, "ingest", f"folder:{docs}", "--label", "public", "--json")
        (docs / "7.md").unlink()
        run(home, "ingest", f"folder:{docs}", "--json")
        check("a removed page is not answered", "Page 7 " not in json.dumps(server.ask("/v1/search", {"query": "tents number 7", "k": 100}, key)[1]))

        # Killed in the middle of ingestion and of delivery, again and again.
        kills = 0
        for round in range(10):
            for i in random.sample(range(200), 40):
                path = docs / f"{i}.md"
                if path.exists() and random.random() < 0.3:
                    path.unlink()
                else:
                    path.write_text(f"Page {i} about tents in round {round}, number {random.randrange(10**9)}.")
            ingest = threading.Thread(target=lambda: subprocess.run([tenfold, "ingest", f"folder:{docs}", "--json", "--home", str(home)], capture_output=True, timeout=60))
            ingest.start()
            time.sleep(random.uniform(0.01, 0.4))
            server.kill()
            kills += 1
            ingest.join()
            server = Server(home)
        run(home, "ingest", f"folder:{docs}", "--json")
        server.await_index()
        expected = {path.read_text() for path in docs.glob("*.md")}
        names, held = texts_in_engine(home, url, folder)
        check(f"after {kills} kills the engine has what the folder has", set(held) == expected and len(names) == 1, (names, len(held), len(expected), list(set(held) ^ expected)[:4]))
        hits = server.ask("/v1/search", {"query": "tents", "k": 100}, key)[1]["hits"]
        check("and the search finds it", len(hits) == min(100, len(expected)) and {hit["text"].strip() for hit in hits} <= expected, len(hits))

        # Another setting changes nothing by itself; a generation does, and back.
        server.kill()
        made = run(home, "generations", "create", "--index", "embedded:")
        run(home, "generations", "switch", "g2")
        listed = json.loads(run(home, "generations", "list", "--json").stdout)["generations"]
        check("a generation in memory was built beside it", [one["generation"]["index"] for one in listed] == [url, ""] and listed[1]["generation"]["state"] == "live", listed)
        run(home, "generations", "rm", "g1")
        check("a removed generation leaves nothing in the engine", json.loads(run(home, "index", "list", url, "--dim", 0, "--json").stdout)["namespaces"] == [])
        run(home, "generations", "create", "--index", "weaviate:nowhere", status=2)
        server = Server(home)
        hits = server.ask("/v1/search", {"query": "tents", "k": 100}, key)[1]["hits"]
        check("the other engine finds the same", len(hits) == min(100, len(expected)), len(hits))
        server.kill()
    finally:
        postgresql.send_signal(signal.SIGINT)
        postgresql.wait(20)


def main():
    fetched = subprocess.run([root / "scripts/fetch_servers"], capture_output=True, text=True)
    if fetched.returncode:
        print("left out: scripts/fetch_servers cannot install PostgreSQL here")
        return
    folder = pathlib.Path(tempfile.mkdtemp())
    os.chmod(folder, 0o755)
    (folder / "server").mkdir()
    os.environ["PGPASSWORD"] = "secret"
    try:
        scenario(folder, pathlib.Path(fetched.stdout.strip()))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    checks.finish()


main()
