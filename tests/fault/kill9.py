#!/usr/bin/env python3
"""kill -9 under load: chats, tickets and ingestion are at work, the server is killed at a random moment, N times.

After each start: every acknowledged question, approval and ingestion is there, no ticket was opened twice, the audit chain and the store are whole.
Usage: kill9.py BIN [N=20]. Prints "N passed, N failed". The full proof is N=500.
"""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

BIN, ROUNDS = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
random.seed(int(os.environ.get("SEED", "20417")))


def start(home):
    process = subprocess.Popen([BIN, "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        if line.startswith("ready "):
            return process, line.split()[1]
    raise SystemExit("the server did not start again")


def tenfold(home, *arguments):
    done = subprocess.run([BIN, *arguments, "--home", home], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


class Load:
    """Asks, approves and ingests until the server is gone. What was acknowledged is kept."""

    def __init__(self, url, key, home, help_folder, number):
        self.url, self.key, self.home, self.help, self.number = url, key, home, help_folder, number
        self.asked, self.approved, self.ingested = [], [], []
        self.over = False
        self.threads = [threading.Thread(target=target, daemon=True) for target in (self.ask, self.tickets, self.tickets, self.ingest)]
        for thread in self.threads:
            thread.start()

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), {"Authorization": f"Bearer {self.key}"}, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.headers, answer.read().decode()

    def until_over(self, work):
        n = 0
        while not self.over:
            n += 1
            try:
                work(n)
            except (OSError, ValueError, RuntimeError, subprocess.TimeoutExpired):
                time.sleep(0.002)

    def ask(self):
        def one(n):
            headers, body = self.post("/v1/chat/completions", {"model": "assistant", "messages": [{"role": "user", "content": f"How long may I return item {self.number} {n}?"}]})
            if json.loads(body)["choices"]:
                self.asked.append(headers["x-tenfold-answer"])

        self.until_over(one)

    def tickets(self):
        me = threading.get_ident()

        def one(n):
            mark = f"mark-{self.number}-{me}-{n}"
            headers, _ = self.post("/v1/chat/completions", {"model": "assistant", "messages": [{"role": "user", "content": f"Please open a ticket: {mark}"}]})
            self.post(f"/api/answers/{headers['x-tenfold-answer']}/approval", {"approved": True})
            self.approved.append(mark)

        self.until_over(one)

    def ingest(self):
        def one(n):
            name = f"note-{self.number}-{n}"
            (self.help / f"{name}.md").write_text(f"# {name}\n\nThe note {name} says unique{self.number}x{n}.\n")
            tenfold(self.home, "ingest", f"folder:{self.help}", "--json")
            self.ingested.append(name)

        self.until_over(one)


with tempfile.TemporaryDirectory() as root:
    home, help_folder = os.path.join(root, "home"), pathlib.Path(root, "help")
    help_folder.mkdir()
    (help_folder / "returns.md").write_text("# Returns\n\nUnused items may come back within 60 days.\n")
    server, url = start(home)
    key = tenfold(home, "keys", "create", "--user", "admin").strip()
    tenfold(home, "ingest", f"folder:{help_folder}")
    asked, approved, ingested = [], [], []
    for number in range(ROUNDS):
        if number and number % 50 == 0:
            print(f"{number} kills, {len(asked)} answers so far", flush=True)
        load = Load(url, key, home, help_folder, number)
        time.sleep(random.uniform(0.02, 0.5))
        server.send_signal(signal.SIGKILL)
        server.wait()
        load.over = True
        for thread in load.threads:
            thread.join(20)
        asked += load.asked
        approved += load.approved
        ingested += load.ingested
        server, url = start(home)
        # A light look each time; the whole comparison at the end.
        if load.asked:
            request = urllib.request.Request(f"{url}/api/answers/{load.asked[-1]}", headers={"Authorization": f"Bearer {key}"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                check("the newest acknowledged answer is there", json.loads(answer.read())["id"] == load.asked[-1])
        for old in help_folder.glob(f"note-{number - 3}-*.md"):
            old.unlink()
    time.sleep(2)  # what was at work resumes and ends
    report = json.loads(tenfold(home, "check", "--json"))
    check("the store is whole", report["ok"], report)
    check("the audit chain is whole", json.loads(tenfold(home, "audit", "verify", "--json"))["whole"])
    tenfold(home, "ingest", f"folder:{help_folder}")
    server.send_signal(signal.SIGTERM)
    check("it stops cleanly", server.wait(20) == 0)
    import sqlite3

    db = sqlite3.connect(os.path.join(home, "store.db"))
    answers = {row[0] for row in db.execute("select id from answers")}
    missing = [one for one in asked if one not in answers]
    check(f"all {len(asked)} acknowledged answers are there", not missing, missing[:3])
    subjects = [json.loads(row[0])["subject"] for row in db.execute("select fields from records where collection = 'tickets'")]
    check(f"all {len(approved)} approved tickets are open", not set(approved) - set(subjects), list(set(approved) - set(subjects))[:3])
    check("no ticket was opened twice", len(subjects) == len(set(subjects)), len(subjects) - len(set(subjects)))
    present = {path.name for path in help_folder.glob("*.md")}
    documents = {row[0] for row in db.execute("select uri from documents")}
    check(f"the documents are those of the folder, {len(documents)} of them", documents == present, documents ^ present)
    orphans = db.execute("select count(*) from chunks where document not in (select id from documents)").fetchone()[0]
    check("no chunk is orphaned", orphans == 0, orphans)
    check("there was load", len(asked) > ROUNDS and len(approved) > ROUNDS / 2 and len(ingested) > 0, (len(asked), len(approved), len(ingested)))
    print(f"{ROUNDS} kills, {len(asked)} answers, {len(approved)} tickets, {len(ingested)} ingestions acknowledged")
checks.finish()
