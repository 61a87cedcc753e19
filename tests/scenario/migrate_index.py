"""Moves records from one index to another with the real program and a real PostgreSQL with pgvector, kills it at many places with SIGKILL, goes on, and looks at what came of it.
usage: migrate_index.py TENFOLD   Left out, with the reason said, where scripts/fetch_servers cannot install the server."""
import json, os, pathlib, random, shutil, signal, subprocess, sys, tempfile, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "servers"))
from postgresql import start_postgresql
from weaviate import start_weaviate

tenfold = os.path.abspath(sys.argv[1])
root = pathlib.Path(__file__).resolve().parents[2]
DIM, RECORDS = 16, 2400


def run(*arguments, home, status=0):
    done = subprocess.run([tenfold, *map(str, arguments), "--home", str(home)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def by_id(file):
    """Numbers of JSON are compared as numbers, so the order of keys and 1 or 1.0 do not matter."""
    return {r["id"]: r for r in map(json.loads, open(file))}


def main():
    fetched = subprocess.run([root / "scripts/fetch_servers"], capture_output=True, text=True)
    if fetched.returncode:
        print("left out: scripts/fetch_servers cannot install PostgreSQL here")
        return
    folder = pathlib.Path(tempfile.mkdtemp())
    os.chmod(folder, 0o755)
    (folder / "server").mkdir()
    server, port = start_postgresql(pathlib.Path(fetched.stdout.strip()), folder / "server")
    try:
        os.environ["PGPASSWORD"] = "secret"
        base = f"postgresql://postgres@127.0.0.1:{port}/postgres?table="
        scenario(folder, base)
        embedded(folder, base)
        program = pathlib.Path(fetched.stdout.strip()) / "bin/weaviate-server"
        if program.exists():
            to_weaviate(folder, base, program)
        else:
            print("left out: the way to Weaviate; TENFOLD_WEAVIATE=1 scripts/fetch_servers builds its server")
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def scenario(folder, base):
    home, dim = folder / "home", ["--dim", DIM]
    a, b = base + "a", base + "b"
    rng = random.Random(1)
    records = [{"id": f"r{i:05}", "group": f"g{i % 50}", "access": "public" if i % 3 else "group:hr", "title": f"title {i}", "text": f"words of number {i} " + "battery " * (i % 5), "vector": [round(rng.gauss(0, 1), 3) for _ in range(DIM)],
                "metadata": {"n": i, "kind": "even" if i % 2 == 0 else "odd", "tags": ["x", "y"]}} for i in range(RECORDS)]
    with open(folder / "records.jsonl", "w") as out:
        for record in records:
            out.write(json.dumps(record) + "\n")
    began = time.monotonic()
    run("index", "import", folder / "records.jsonl", a, "--namespace", "shop", *dim, home=home)
    took = time.monotonic() - began
    listed = json.loads(run("index", "list", a, "--json", *dim, home=home).stdout)
    assert listed["namespaces"] == [{"name": "shop", "records": RECORDS}], listed

    # Killed again and again, each time a little later: every run goes on, none begins again.
    kills, resumed, limit = 0, set(), 0.02
    while True:
        child = subprocess.Popen([tenfold, "migrate", "index", a, b, "--json", *map(str, dim), "--home", home], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills += 1
            limit += 0.05
            state = list((home / "migrations").glob("*.json")) if (home / "migrations").exists() else []
            if state:
                resumed.add(json.loads(state[0].read_text())["copied"])
            continue
        assert child.returncode == 0, (out, err)
        break
    report = json.loads(out)["namespaces"][0]
    assert report["records"] == report["copied"] == RECORDS and report["overlap"] == 1 and report["worst"] == 1, report
    assert kills >= 3 and len(resumed) >= 2 and report["resumed_at"] > 0, (kills, resumed, report)
    run("index", "export", a, folder / "a.jsonl", "--namespace", "shop", *dim, home=home)
    run("index", "export", b, folder / "b.jsonl", "--namespace", "shop", *dim, home=home)
    assert by_id(folder / "a.jsonl") == by_id(folder / "b.jsonl") and len(by_id(folder / "b.jsonl")) == RECORDS

    # What was changed and added in the source after the copy is put right; queries of a file are asked of both, and the name is moved.
    changed = [dict(records[7], text="changed", metadata={"n": -1}), dict(records[8], access="user:ana@example.com"), dict(records[0], id="z-new")]
    (folder / "changed.jsonl").write_text("".join(json.dumps(r) + "\n" for r in changed))
    run("index", "import", folder / "changed.jsonl", a, "--namespace", "shop", *dim, home=home)
    (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in [{"text": "battery"}, {"vector": records[3]["vector"]}, {"text": "battery words", "vector": records[4]["vector"], "filter": {"kind": "odd"}}, {"text": "giraffe"}]))
    report = json.loads(run("migrate", "index", a, b, "--queries", folder / "queries.jsonl", "--switch", "live", "--json", *dim, home=home).stdout)["namespaces"][0]
    assert report["corrected"] == 3 and report["queries"] == 4 and report["overlap"] == 1, report
    run("index", "export", a, folder / "a.jsonl", "--namespace", "shop", *dim, home=home)
    run("index", "export", "alias:live", folder / "b.jsonl", "--namespace", "shop", *dim, home=home)
    assert by_id(folder / "a.jsonl") == by_id(folder / "b.jsonl") and len(by_id(folder / "b.jsonl")) == RECORDS + 1
    assert json.loads((home / "index_names.json").read_text()) == {"live": b}

    # A target that finds something else is not switched to: its foreign records are neither deleted nor passed over.
    c = base + "c"
    foreign = [dict(r, id="foreign" + r["id"]) for r in records[:50]]
    (folder / "foreign.jsonl").write_text("".join(json.dumps(r) + "\n" for r in foreign))
    run("index", "import", folder / "foreign.jsonl", c, "--namespace", "shop", *dim, home=home)
    refused = run("migrate", "index", b, c, "--switch", "live", *dim, home=home, status=1)
    assert "50 records that are not the source's" in refused.stderr, refused.stderr
    assert json.loads((home / "index_names.json").read_text()) == {"live": b}
    run("index", "list", "alias:nothing", *dim, home=home, status=3)
    run("migrate", "index", a, "file:somewhere", *dim, home=home, status=2)
    run("migrate", "index", a, a, *dim, home=home, status=2)
    (folder / "bad.jsonl").write_text('{"text": "a"}\n{"vektor": [1]}\n')
    assert "bad.jsonl:2" in run("migrate", "index", a, b, "--queries", folder / "bad.jsonl", *dim, home=home, status=2).stderr
    # Out to a file of FAISS and in again: the vectors come back, with a number of their own where the file of ids is not.
    run("index", "export", b, folder / "b.faiss", "--namespace", "shop", "--kind", "hnsw", *dim, home=home)
    run("index", "import", folder / "b.faiss", base + "d", "--namespace", "shop", "--access", "public", *dim, home=home)
    run("index", "export", base + "d", folder / "d.jsonl", "--namespace", "shop", *dim, home=home)
    before, after = by_id(folder / "b.jsonl"), by_id(folder / "d.jsonl")
    assert before.keys() == after.keys() and all(r["access"] == "public" for r in after.values())
    for name, record in before.items():
        size = sum(x * x for x in record["vector"]) ** 0.5
        assert all(abs(x / size - y) < 1e-6 for x, y in zip(record["vector"], after[name]["vector"])), name
    (folder / "b.faiss.ids").unlink()
    run("index", "import", folder / "b.faiss", base + "e", *dim, home=home)
    run("index", "export", base + "e", folder / "e.jsonl", *dim, home=home)
    assert by_id(folder / "e.jsonl").keys() == {str(i) for i in range(RECORDS + 1)} and all(r["access"] == "" for r in by_id(folder / "e.jsonl").values())
    run("index", "export", b, folder / "b.faiss", "--kind", "tree", *dim, home=home, status=2)
    run("index", "import", folder / "records.jsonl.faiss", b, *dim, home=home, status=3)
    print(f"imported in {took:.2f} s, moved {RECORDS} records through {kills} kills, gone on with at {sorted(resumed)}")


def embedded(folder, base):
    """Collections of a data folder that no server holds, out and in."""
    home, dim = folder / "data folder", ["--dim", DIM]
    assert "is no data folder" in run("index", "list", "embedded:shop", home=home, status=3).stderr
    run("sources", "list", home=home)  # any command makes one
    assert "with --dim it is made" in run("index", "import", folder / "records.jsonl", "embedded:shop", home=home, status=3).stderr
    run("index", "import", folder / "records.jsonl", "embedded:shop", "--namespace", "shop", *dim, home=home)
    assert json.loads(run("index", "list", "embedded:", "--json", home=home).stdout)["collections"] == [{"name": "shop", "dim": DIM, "metric": "cosine"}]
    assert json.loads(run("index", "list", "embedded:shop", "--json", home=home).stdout)["namespaces"] == [{"name": "shop", "records": RECORDS}]
    run("index", "list", "embedded:shop", "--dim", DIM + 1, home=home, status=2)
    run("index", "list", "embedded:shop", "--metric", "dot", home=home, status=2)

    # Killed on its way out; the target takes the source's dimensions.
    kills, limit = 0, 0.02
    while True:
        child = subprocess.Popen([tenfold, "migrate", "index", "embedded:shop", base + "out", "--json", "--home", home], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            kills, limit = kills + 1, limit + 0.2
            continue
        assert child.returncode == 0, (out, err)
        break
    report = json.loads(out)["namespaces"][0]
    assert report["records"] == report["copied"] == RECORDS and report["worst"] == 1 and kills >= 2, (kills, report)
    assert "--dim" in run("migrate", "index", base + "out", "embedded:back", home=home, status=2).stderr
    report = json.loads(run("migrate", "index", base + "out", "embedded:back", "--switch", "live", "--json", *dim, home=home).stdout)["namespaces"][0]
    assert report["records"] == RECORDS and report["worst"] == 1, report
    assert json.loads(run("migrate", "index", "alias:live", "embedded:again", "--json", home=home).stdout)["namespaces"][0]["worst"] == 1
    for number, name in enumerate(["embedded:shop", base + "out", "embedded:back", "embedded:again"]):
        run("index", "export", name, folder / f"e{number}.jsonl", "--namespace", "shop", *dim, home=home)
    # A cosine index elsewhere keeps vectors in its own precision; the rest is the same to the byte.
    def plain(number):
        return {name: {**record, "vector": [round(x, 4) for x in record["vector"]]} for name, record in by_id(folder / f"e{number}.jsonl").items()}
    assert plain(0) == plain(1) == plain(2) == plain(3) and len(plain(0)) == RECORDS

    server = subprocess.Popen([tenfold, "up", "--no-models", "--listen", "127.0.0.1:0", "--home", home], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        while not server.stdout.readline().startswith("ready"):
            assert server.poll() is None
        assert "in use by another process" in run("index", "list", "embedded:shop", home=home, status=1).stderr
    finally:
        server.terminate()
        server.wait(20)
    print(f"embedded: and back, through {kills} kills")


def to_weaviate(folder, base, program):
    """Another back end altogether: the same records, readers and metadata come out of it."""
    home, dim = folder / "home", ["--dim", DIM]
    server, port, _ = start_weaviate(program, folder / "weaviate")
    try:
        target = f"weaviate:http://127.0.0.1:{port}/Records"
        report = json.loads(run("migrate", "index", base + "b", target, "--switch", "live", "--json", *dim, home=home).stdout)["namespaces"][0]
        assert report["records"] == RECORDS + 1 and report["corrected"] == 0 and report["overlap"] >= 0.95, report
        run("index", "export", "alias:live", folder / "w.jsonl", "--namespace", "shop", *dim, home=home)
        before, after = by_id(folder / "b.jsonl"), by_id(folder / "w.jsonl")
        assert before.keys() == after.keys()
        for name, record in before.items():
            assert {k: v for k, v in record.items() if k != "vector"} == {k: v for k, v in after[name].items() if k != "vector"}, (record, after[name])
        print(f"and to Weaviate: overlap {report['overlap']:.3f}")
    finally:
        server.kill()
        server.wait(20)


main()
