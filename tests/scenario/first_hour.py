#!/usr/bin/env python3
"""The first hour with the real binary: a new folder, users and keys, documents in and out, wrong input, two processes, kill -9.

Usage: first_hour.py BIN. Prints "N passed, N failed".
"""
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

BIN = os.path.abspath(sys.argv[1])


class Server:
    def __init__(self, home):
        self.home = home
        self.process = subprocess.Popen([BIN, "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.first_lines = []
        for line in self.process.stdout:
            self.first_lines.append(line)
            if line.startswith("ready "):
                self.url = line.split()[1]
                return
        raise SystemExit("the server did not start: " + "".join(self.first_lines))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(20)

    def ask(self, method, path, body=None, key=None, headers=None):
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                text = answer.read().decode()
                return answer.status, json.loads(text) if text[:1] in "{[" and text else text, answer.headers
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"{}"), e.headers


def tenfold(home, *arguments):
    done = subprocess.run([BIN, *arguments, "--home", home], capture_output=True, text=True, timeout=120, cwd=os.path.dirname(home))
    return done.returncode, done.stdout, done.stderr


def hits(server, key, query):
    status, answer, _ = server.ask("POST", "/v1/search", {"query": query}, key)
    check("search answers", status == 200, answer)
    return [hit["document"]["uri"] for hit in answer["hits"]]


with tempfile.TemporaryDirectory() as root:
    home, help_folder = os.path.join(root, "home"), pathlib.Path(root, "help")
    (help_folder / "internal").mkdir(parents=True)
    (help_folder / "returns.md").write_text("# Returns\n\n## Window\n\nUnused items may come back within 60 days.\n")
    (help_folder / "ship.html").write_text("<title>Shipping</title><h1>Shipping</h1><p>Parcels leave within two days.</p>")
    (help_folder / "rates.csv").write_text("country,price\nAustria,4.90\n")
    (help_folder / "internal" / "goodwill.txt").write_text("Agents may grant goodwill of up to 40 EUR.\n")
    (help_folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    (help_folder / "access.yaml").write_text('"": public\ninternal: internal\n')

    started = time.monotonic()
    server = Server(home)
    check("a new folder names its admin and a link", any("#token=" in line for line in server.first_lines), server.first_lines)
    print(f"ready after {(time.monotonic() - started) * 1000:.0f} ms")

    # Users, keys, sessions
    token = next(line for line in server.first_lines if "#token=" in line).split("#token=")[1].strip()
    status, session, headers = server.ask("POST", "/api/session", {"token": token})
    check("the link signs in", status == 200 and session["user"]["role"] == "admin", session)
    cookie = headers["set-cookie"].split(";")[0]
    check("the link works once", server.ask("POST", "/api/session", {"token": token})[0] == 401)
    check("a cookie alone changes nothing", server.ask("DELETE", "/api/session", headers={"Cookie": cookie})[0] == 403)
    check("with its token it does", server.ask("DELETE", "/api/session", headers={"Cookie": cookie, "x-csrf-token": session["csrf"]})[0] == 204)
    check("and is gone then", server.ask("GET", "/v1/me", headers={"Cookie": cookie})[0] == 401)
    for role in ("customer", "agent"):
        check(f"{role} is added", tenfold(home, "users", "add", "--user", f"{role}@example.com", "--role", role)[0] == 0)
    key = {user: tenfold(home, "keys", "create", "--user", user)[1].strip() for user in ("customer@example.com", "agent@example.com", "admin")}
    customer, agent, admin = key["customer@example.com"], key["agent@example.com"], key["admin"]
    check("a key works at once", server.ask("GET", "/v1/me", key=customer)[1] == {"user": "customer@example.com", "role": "customer"})
    users = json.loads(tenfold(home, "users", "list", "--json")[1])["users"]
    check("users are listed with roles", {u["email"]: u["role"] for u in users}["agent@example.com"] == "agent", users)

    # Deny by default: every row of the table but the public ones refuses a stranger
    api = server.ask("GET", "/openapi.json")[1]
    public = {("get", "/health"), ("get", "/ready"), ("get", "/openapi.json"), ("get", "/api/session"), ("post", "/api/session"), ("get", "/"), ("get", "/api/assistant"), ("get", "/.well-known/jwks.json"),
              # What Weaviate's clients ask before they send their key: that the server is there, and that there is no OpenID provider.
              ("get", "/v1/.well-known/ready"), ("get", "/v1/.well-known/live"), ("get", "/v1/.well-known/openid-configuration")}
    for path, methods in api["paths"].items():
        for method in methods:
            if (method, path) not in public:
                check(f"a stranger at {method} {path}", server.ask(method.upper(), re.sub(r"\{\w+\}", "x", path))[0] == 401)
    check("a customer is no admin", server.ask("GET", "/metrics", key=customer)[0] == 403)
    check("an admin is not the owner of the folder", server.ask("POST", "/api/control", {"arguments": ["users", "list"]}, admin)[0] == 403)

    # Documents in, found by who may, changed, relabelled, deleted
    code, out, err = tenfold(home, "ingest", "folder:help", "--label", "public", "--json")
    report = json.loads(out)
    check("all but the broken file come in", (report["added"], [p["path"] for p in report["problems"]]) == (4, ["broken.pdf"]), report)
    check("progress is shown", "[5/5]" in err, err)
    check("a customer finds the article", hits(server, customer, "return window") == ["returns.md"])
    check("a customer does not find the internal one", hits(server, customer, "goodwill") == [])
    check("an agent does", hits(server, agent, "goodwill") == ["internal/goodwill.txt"])
    status, answer, _ = server.ask("POST", "/v1/search", {"query": "60 days"}, customer)
    hit = answer["hits"][0]
    document = server.ask("GET", f"/api/documents/{hit['document']['id']}", key=customer)[1]
    begin, end = hit["span"]
    check("a span cuts the passage out of its document", document["text"].encode()[begin:end].decode() == hit["text"], hit)
    internal = server.ask("POST", "/v1/search", {"query": "goodwill"}, agent)[1]["hits"][0]["document"]["id"]
    check("an internal document does not exist for a customer", server.ask("GET", f"/api/documents/{internal}", key=customer)[0] == 404)
    check("a second scan changes nothing", json.loads(tenfold(home, "ingest", "folder:help", "--json")[1])["unchanged"] == 4)
    # Search explained, and scored on judged topics by the server that has the folder
    explain = lambda who: server.ask("POST", "/v1/search", {"query": "goodwill within days", "k": 1, "explain": True}, who)[1]["explanation"]
    his, hers = explain(customer), explain(agent)
    check("an explanation has no candidate its reader may not see", "internal/goodwill.txt" not in [c["uri"] for c in his["candidates"]] and his["readable"] + 1 == hers["readable"], (his, hers))
    check("it says what was cut", [c["why"]["cut"] for c in hers["candidates"]][:2] == ["", "k"], hers)
    pathlib.Path(root, "topics").write_text("1\treturn within 60 days\n2\tgoodwill of agents\n")
    pathlib.Path(root, "qrels").write_text("1 0 returns.md 1\n2 0 internal/goodwill.txt 1\n")
    scores = lambda *more: [stage["recall_10"]["mean"] for stage in json.loads(tenfold(home, "eval", "retrieval", "--topics", "topics", "--qrels", "qrels", "--json", *more)[1])["stages"]]
    check("search is scored on the folder's own documents", scores() == [1, 1])
    check("and as a user, who does not find all", scores("--user", "customer@example.com") == [0.5, 0.5])
    check("judgements without topics are refused", tenfold(home, "eval", "retrieval", "--qrels", "qrels")[0] == 2)
    (help_folder / "access.yaml").write_text('"": internal\n')
    tenfold(home, "ingest", "folder:help")
    check("made internal, it is gone for the customer", hits(server, customer, "return window") == [])
    check("and stays for the agent", hits(server, agent, "return window") == ["returns.md"])
    original = lambda who, document=hit["document"]["id"]: server.ask("GET", f"/v1/documents/{document}/content", key=who)
    status, text, headers = original(agent)
    check("its original can be had, as a file", (status, text) == (200, (help_folder / "returns.md").read_text()) and "attachment" in headers["content-disposition"], (status, text))
    check("but not by the customer", original(customer)[0] == 404)
    (help_folder / "returns.md").unlink()
    report = json.loads(tenfold(home, "ingest", "folder:help", "--json")[1])
    check("a deleted file is removed", report["removed"] == 1, report)
    check("and found by nobody", hits(server, admin, "return window") == [])
    check("its original is gone too", original(admin)[0] == 404)

    # A dry run, a label, chunks before they are stored, and a source that goes with all of its documents
    notes = pathlib.Path(help_folder.parent, "notes")
    notes.mkdir()
    (notes / "plan.md").write_text("# Plan\n\nThe quartz plan is secret. " + "It has many steps. " * 60)
    plan = json.loads(tenfold(home, "ingest", f"folder:{notes}", "--dry-run", "--json")[1])
    check("a dry run says what would be", (plan["added"], plan["plan"]) == (1, [{"path": "plan.md", "change": "add"}]), plan)
    check("and does nothing", hits(server, admin, "quartz plan") != ["plan.md"])
    tenfold(home, "ingest", f"folder:{notes}", "--chunker", "sentences,max_tokens=64,overlap_tokens=16,prefix={first}")
    check("without a label nobody but admins reads it", "plan.md" in hits(server, admin, "quartz plan") and "plan.md" not in hits(server, agent, "quartz plan") + hits(server, customer, "quartz plan"))
    tenfold(home, "ingest", f"folder:{notes}", "--label", "internal")
    check("with one its readers do", "plan.md" in hits(server, agent, "quartz plan") and "plan.md" not in hits(server, customer, "quartz plan"))
    shown = json.loads(tenfold(home, "chunks", str(notes / "plan.md"), "--chunker", "sentences,max_tokens=64,overlap_tokens=16", "--json")[1])["chunks"]
    check("its chunks are shown", len(shown) > 2 and shown[1]["span"][0] < shown[0]["span"][1] and all(one["tokens"] <= 64 and one["heading"] == "Plan" for one in shown), shown[:2])
    check("a wrong chunker is named", tenfold(home, "chunks", str(notes / "plan.md"), "--chunker", "sentence")[0] == 2)
    listed_sources = json.loads(tenfold(home, "sources", "list", "--json")[1])["sources"]
    check("both sources are listed", sorted(s["documents"] for s in listed_sources) == [1, 3], listed_sources)
    source = next(s for s in listed_sources if s["url"].endswith("/notes"))
    check("one shows how it is cut", server.ask("GET", f"/v1/sources/{source['id']}", key=admin)[1]["chunks"]["strategy"] == "sentences")
    check("a folder of the server is not added from outside", server.ask("POST", "/v1/sources", {"url": "folder:/etc"}, admin)[0] == 403)
    check("removed, its documents go with it", json.loads(tenfold(home, "sources", "rm", f"folder:{notes}", "--json")[1])["documents"] == 1 and "plan.md" not in hits(server, admin, "quartz plan"))
    check("twice it is not there", tenfold(home, "sources", "rm", source["id"])[0] == 3)

    # What an operator sees and does over HTTP
    get = lambda path, who=admin: server.ask("GET", path, key=who)
    listed = lambda who: sorted(d["uri"] for d in get("/v1/documents", who)[1]["documents"])
    check("a customer's list holds no internal document", listed(customer) == [], listed(customer))
    check("an agent's does", listed(agent) == ["internal/goodwill.txt", "rates.csv", "ship.html"], listed(agent))
    check("a limit is kept, a wrong one named", len(get("/v1/documents?limit=2")[1]["documents"]) == 2 and get("/v1/documents?limit=0")[1]["error"]["param"] == "limit")
    source = get("/v1/sources")[1]["sources"][0]
    check("the source is listed", source["url"].endswith("/help") and source["label"] == "public", source)
    run = server.ask("POST", f"/v1/sources/{source['id']}/ingest", key=admin)[1]["run"]
    for _ in range(100):
        state = get(f"/v1/runs/{run}")[1]
        if state["state"] != "queued" and state["state"] != "running":
            break
        time.sleep(0.05)
    check("a source is read again", state["state"] == "finished" and state["output"]["unchanged"] == 3, state)
    check("the run is listed", get("/v1/runs?kind=ingest&limit=1")[1]["runs"][0]["id"] == run)
    check("another's run does not exist for a customer", get(f"/v1/runs/{run}", customer)[0] == 404 and server.ask("POST", f"/v1/runs/{run}/cancel", key=customer)[0] == 404)
    status, schedule, _ = server.ask("PUT", "/v1/schedules/nightly", {"cron": "0 3 * * *", "source": source["id"]}, admin)
    check("a schedule is made", status == 200 and schedule["next"][11:16] == "03:00" and schedule["last_run"] is None, schedule)
    check("a wrong one is named", server.ask("PUT", "/v1/schedules/nightly", {"cron": "0 25 * * *", "source": source["id"]}, admin)[1]["error"]["param"] == "cron")
    check("it is paused", server.ask("PATCH", "/v1/schedules/nightly", {"paused": True}, admin)[0] == 200 and {s["id"]: s for s in get("/v1/schedules")[1]["schedules"]}["nightly"]["next"] is None)
    code, out, err = tenfold(home, "ingest", "folder:help", "--cron", "@hourly", "--json")
    check("the command line makes one too", json.loads(out)["schedule"]["id"] == "help", (out, err))
    check("both are listed, with the one every folder has", [s["id"] for s in json.loads(tenfold(home, "schedules", "list", "--json")[1])["schedules"]] == ["collect-originals", "help", "nightly"])
    check("a wrong time is refused before anything is read", tenfold(home, "ingest", "folder:help", "--cron", "hourly")[0] == 2)
    check("they are removed", tenfold(home, "schedules", "rm", "help")[0] == 0 and server.ask("DELETE", "/v1/schedules/nightly", key=admin)[0] == 200 and len(get("/v1/schedules")[1]["schedules"]) == 1)
    versions = get("/v1/versions")[1]
    check("the live version is told", versions["history"][-1]["version"] in [v["id"] for v in versions["versions"]], versions)
    check("what is live cannot be promoted again", server.ask("POST", "/v1/versions/promote", {"version": versions["history"][-1]["version"]}, admin)[0] == 412)

    # Wrong input
    for what, body, field in (("unknown field", {"query": "x", "kk": 1}, "kk"), ("range", {"query": "x", "k": 0}, "k"), ("missing", {}, "query"), ("type", {"query": 7}, "query"), ("length", {"query": "x" * 9000}, "query")):
        status, answer, _ = server.ask("POST", "/v1/search", body, customer)
        check(f"{what} is refused by name", status == 400 and answer["error"]["param"] == field, answer)
    check("not JSON", server.ask("POST", "/v1/search", b"{", customer)[0] == 400)
    check("not UTF-8", server.ask("POST", "/v1/search", b'{"query":"\xff"}', customer)[0] == 400)
    check("nested too deep", server.ask("POST", "/v1/search", b"[" * 10000, customer)[0] == 400)
    check("too large", server.ask("POST", "/v1/search", b" " * (2 << 20), customer)[0] == 413)
    check("a wrong command names the right one", "did you mean 'search'" in tenfold(home, "serch", "x")[2])
    check("an unknown user is named", tenfold(home, "keys", "create", "--user", "nobody@example.com")[0] == 3)

    # Metrics, a second process, backup, the audit log
    metrics = server.ask("GET", "/metrics", key=admin)[1]
    promtool = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True, capture_output=True) if os.path.exists("/usr/bin/promtool") else None
    check("promtool accepts the metrics", promtool is None or promtool.returncode == 0, promtool and promtool.stderr)
    second = subprocess.run([BIN, "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], capture_output=True, text=True, timeout=20)
    check("a second process is refused", second.returncode == 1 and "in use by another process" in second.stderr, second.stderr)
    taken = subprocess.run([BIN, "up", "--home", os.path.join(root, "other"), "--listen", server.url[7:], "--no-models"], capture_output=True, text=True, timeout=20)
    check("a taken port is named", taken.returncode == 1 and "--listen" in taken.stderr, taken.stderr)
    backup = os.path.join(root, "backup.tar")
    made = json.loads(tenfold(home, "backup", backup, "--json")[1])
    listed = get("/v1/documents")[1]
    check("a live backup is made, and is not overwritten", made["commit"] > 0 and tenfold(home, "backup", backup)[0] != 0, made)
    again = os.path.join(root, "again")
    restored = tenfold(again, "restore", backup)
    check("it gives back the same commit", restored[0] == 0 and f"commit {made['commit']} " in restored[1], restored)
    check("a backup that is not whole is refused", pathlib.Path(root, "half.tar").write_bytes(pathlib.Path(backup).read_bytes()[:300_000]) and tenfold(os.path.join(root, "half"), "restore", os.path.join(root, "half.tar"))[0] != 0)
    pathlib.Path(root, "altered.tar").write_bytes(pathlib.Path(backup).read_bytes().replace(b"Agents may grant", b"Nobody may grant"))
    refused = tenfold(os.path.join(root, "half"), "restore", os.path.join(root, "altered.tar"))
    check("an altered one too", refused[0] != 0 and "is not what it was" in refused[2], refused)
    check("the audit log is whole", tenfold(home, "audit", "verify")[0] == 0)
    check("SIGTERM ends it cleanly", server.stop() == 0)
    server = Server(again)
    check("the restored folder has the same documents, originals and keys", get("/v1/documents")[1] == listed and all(original(admin, d["id"])[0] == 200 for d in listed["documents"]), listed)
    check("and the same audit log", tenfold(again, "audit", "verify")[0] == 0)
    server.stop()

    # kill -9 while keys are made: every key that was said works afterwards
    said = []
    for round_number in range(8):
        server, enough = Server(home), threading.Event()

        def make_keys():
            # Beside the server while it lives, on the folder itself once it is killed: what was said must hold in both.
            while not enough.is_set():
                said.extend(tenfold(home, "keys", "create", "--user", "customer@example.com")[1].split())

        makers = [threading.Thread(target=make_keys) for _ in range(3)]
        for maker in makers:
            maker.start()
        time.sleep(0.1 + 0.04 * round_number)
        server.stop(signal.SIGKILL)
        enough.set()
        for maker in makers:
            maker.join()
    server = Server(home)
    lost = [k for k in said if server.ask("GET", "/v1/me", key=k)[0] != 200]
    check(f"no acknowledged key of {len(said)} is lost", said and not lost, lost)
    check("the store is whole", tenfold(home, "check")[0] == 0)
    check("the audit log is still whole", tenfold(home, "audit", "verify")[0] == 0)
    server.stop()

    # Settings
    pathlib.Path(home, "tenfold.yaml").write_text("server:\n  lsten: 127.0.0.1:0\n")
    wrong = subprocess.run([BIN, "up", "--home", home], capture_output=True, text=True, timeout=20)
    check("a wrong setting is named with its line", "tenfold.yaml:2:" in wrong.stderr and "did you mean 'listen'" in wrong.stderr, wrong.stderr)
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                           "-keyout", os.path.join(home, "key.pem"), "-out", os.path.join(home, "certificate.pem")], capture_output=True, text=True)
    check("openssl makes a certificate", made.returncode == 0, made.stderr)
    pathlib.Path(home, "tenfold.yaml").write_text("server:\n  tls_certificate: certificate.pem\n")
    half = subprocess.run([BIN, "up", "--home", home], capture_output=True, text=True, timeout=20)
    check("a certificate without its key is named", half.returncode == 2 and "server.tls_key" in half.stderr, half.stderr)
    pathlib.Path(home, "tenfold.yaml").write_text("server:\n  tls_certificate: certificate.pem\n  tls_key: key.pem\n")
    server = Server(home)
    check("https: is served", server.url.startswith("https://"), server.url)
    trust = ssl.create_default_context(cafile=os.path.join(home, "certificate.pem"))
    with urllib.request.urlopen(urllib.request.Request(server.url + "/v1/me", headers={"Authorization": f"Bearer {customer}"}), timeout=20, context=trust) as answer:
        check("and answers", json.load(answer)["user"] == "customer@example.com")
    check("the command line goes on beside it", tenfold(home, "users", "list")[0] == 0)
    link = tenfold(home, "users", "link", "--user", "agent@example.com")[1].split("#token=")[1].strip()
    with urllib.request.urlopen(urllib.request.Request(server.url + "/api/session", json.dumps({"token": link}).encode(), method="POST"), timeout=20, context=trust) as answer:
        check("its cookie is for https: only", answer.headers["set-cookie"].endswith("; Secure"), answer.headers["set-cookie"])
    server.stop()
    pathlib.Path(home, "tenfold.yaml").unlink()
    check("init writes a file that is accepted", tenfold(home, "init")[0] == 0 and tenfold(home, "check")[0] == 0)

checks.finish()
