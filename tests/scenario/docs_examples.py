"""Runs the examples of docs/sources, docs/backends, docs/apis and docs/formats.md as they are printed, against real servers, so that what a reader copies works.

Of each page the blocks ```sh and ```python run in their order, in one folder and with a home of its own. Of the text only what no machine has is replaced, by REPLACED below: the address of a server by that of the one that
was started here, a secret by its. After a line of shell, "# prints: X" says what the output must hold. A page without an example, and one whose example runs into an error, fails.
usage: docs_examples.py TENFOLD [PAGE...]   e.g. docs/sources/web.md; without pages all. Prints "N passed, N failed"."""
import json, os, pathlib, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests/servers")]
from checks import check, finish
from postgresql import free_port, start_postgresql
from weaviate import start_weaviate

TENFOLD = pathlib.Path(sys.argv[1]).resolve()
CACHE = pathlib.Path(os.environ.get("TENFOLD_CACHE") or pathlib.Path.home() / ".cache/tenfold")


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def bson(document):
    """Texts, documents and lists of them, which is all that is needed here."""
    out = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, str):
            out += b"\x02" + name + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        elif isinstance(value, list):
            out += b"\x04" + name + bson({str(i): item for i, item in enumerate(value)})
        else:
            out += b"\x03" + name + bson(value)
    return struct.pack("<i", len(out) + 5) + out + b"\0"


class Servers:
    """Starts each server when the first page asks for it."""

    def __init__(self, folder):
        self.folder, self.started, self.ports = folder, [], {}
        fetched = subprocess.run([ROOT / "scripts/fetch_servers"], capture_output=True, text=True)
        self.programs = pathlib.Path(fetched.stdout.strip()) if fetched.returncode == 0 else None

    def start(self, name, command, port, **options):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.started.append(process)
        for _ in range(600):
            if accepts(port):
                return port
            assert process.poll() is None, f"{name} ended"
            time.sleep(0.05)
        raise AssertionError(f"{name} did not come up")

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = getattr(self, name)()
        return self.ports[name]

    def postgresql(self):
        (self.folder / "postgresql").mkdir()
        process, port = start_postgresql(self.programs, self.folder / "postgresql")
        self.started.append(process)
        tool = [self.programs / "postgresql/bin/psql", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-c"]
        environment = {**os.environ, "PGPASSWORD": "secret", "LD_LIBRARY_PATH": str(self.folder / "postgresql/pgserver.libs")}
        subprocess.run([*tool, "CREATE DATABASE shop"], env=environment, check=True)
        return port

    def mongodb(self):
        told = self.folder / "mongodb.port"
        self.started.append(subprocess.Popen(["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", f"{self.programs}/mongodb/*", ROOT / "tests/servers/MongoServer.java", told], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for _ in range(1200):
            if told.exists():
                break
            time.sleep(0.05)
        port = int(told.read_text())
        article = {"_id": "tea", "title": "Tea", "content": {"body": "Green tea is brewed at 80 degrees."}, "changed_at": "2026-01-01", "labels": "public", "category": "drinks", "author": {"name": "Bo"}}
        with socket.create_connection(("127.0.0.1", port), 10) as s:  # one OP_MSG
            message = b"\0\0\0\0\0" + bson({"insert": "articles", "documents": [article], "$db": "shop"})
            s.sendall(struct.pack("<iiii", 16 + len(message), 1, 0, 2013) + message)
            assert b"ok\0" in s.recv(4096)
        return port

    def s3(self):
        port = free_port()
        self.start("moto", [self.programs / "bin/python", "-c", "from moto.server import main; import sys; main(sys.argv[1:])", "-H", "127.0.0.1", "-p", str(port)], port)
        subprocess.run([self.programs / "bin/python", "-c", f"""import boto3
s3 = boto3.client("s3", endpoint_url="http://127.0.0.1:{port}", aws_access_key_id="secret", aws_secret_access_key="secret", region_name="us-east-1")
s3.create_bucket(Bucket="handbook")
s3.put_object(Bucket="handbook", Key="published/tea.md", Body=b"# Tea\\n\\nGreen tea is brewed at 80 degrees.", Metadata={{"tenfold-access": "public"}})"""], check=True)
        return port

    def weaviate(self):
        process, port, _ = start_weaviate(self.programs / "bin/weaviate-server", self.folder / "weaviate")
        self.started.append(process)
        return port

    def dovecot(self):
        """With any number of users, all of the password "dovecot-secret", and one message for ana@example.com."""
        folder, port = self.folder / "dovecot", free_port()
        (folder / "mail").mkdir(parents=True)
        os.chmod(folder, 0o755)
        root = os.geteuid() == 0
        user, group = ("nobody", "nogroup") if root else (subprocess.getoutput("id -un"), subprocess.getoutput("id -gn"))
        if root:
            subprocess.check_call(["chown", "nobody:nogroup", folder / "mail"])
        (folder / "dovecot.conf").write_text(f"""protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
disable_plaintext_auth = no
ssl = no
passdb {{
  driver = static
  args = password=dovecot-secret
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
""" + ("" if root else f"default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n"))
        self.start("dovecot", ["/usr/sbin/dovecot", "-F", "-c", folder / "dovecot.conf"], port)
        message = "From: bo@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: Tea\r\n\r\nGreen tea is brewed at 80 degrees.\r\n"
        subprocess.run(["doveadm", "-c", folder / "dovecot.conf", "save", "-u", "ana@example.com", "-m", "INBOX"], input=message, text=True, check=True)
        return port

    def site(self):
        """docs/sources/web.md starts its own server; only the port must be free."""
        return free_port()

    def end(self):
        for process in self.started:
            process.send_signal(signal.SIGINT)
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()


class Up:
    """`tenfold up` over `home`, and the key of an agent who may make collections."""

    def __init__(self, home, model):
        command = [TENFOLD, "up", "--home", home, "--listen", "127.0.0.1:0", *([] if model else ["--no-models"])]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = {}
        for line in self.process.stdout:
            said.update([line.split(maxsplit=1)])
            if line.startswith("ready "):
                break
        self.url, self.grpc = said["ready"].strip(), said["grpc"].strip().rsplit(":", 1)[1]
        self.port = self.url.rsplit(":", 1)[1]
        subprocess.run([TENFOLD, "users", "add", "--user", "you@example.com", "--role", "agent", "--home", home], capture_output=True, check=True)
        self.key = subprocess.run([TENFOLD, "keys", "create", "--user", "you@example.com", "--home", home], capture_output=True, text=True, check=True).stdout.strip()

    def end(self):
        self.process.terminate()
        self.process.wait(20)


def no_servers(servers):
    return None if servers.programs else "scripts/fetch_servers cannot install its servers"


def no_weaviate(servers):
    return no_servers(servers) or (None if (servers.programs / "bin/weaviate-server").exists() else "weaviate-server; TENFOLD_WEAVIATE=1 scripts/fetch_servers builds it")


def postgresql(servers, up):
    return [("127.0.0.1:5432", f"127.0.0.1:{servers.port('postgresql')}"), ("PGPASSWORD=…", "PGPASSWORD=secret"), ("psql ", f"LD_LIBRARY_PATH={servers.folder}/postgresql/pgserver.libs {servers.programs}/postgresql/bin/psql ")]


def weaviate(servers, up):
    return [("127.0.0.1:8080", f"127.0.0.1:{servers.port('weaviate')}"), ("WEAVIATE_API_KEY=…", "WEAVIATE_API_KEY=")]


def ours(servers, up):
    return [("http://127.0.0.1:8080", up.url), ("connect_to_local(", f"connect_to_local(port={up.port}, grpc_port={up.grpc}, ")]


def pinecone(servers, up):
    """No account of Pinecone's is at hand: its API as this program serves it."""
    asked = urllib.request.Request(f"{up.url}/indexes", json.dumps({"name": "articles", "dimension": 3, "metric": "cosine", "spec": {"serverless": {"cloud": "aws", "region": "eu-west-1"}}}).encode(),
                                   {"Api-Key": up.key, "Content-Type": "application/json"})
    assert urllib.request.urlopen(asked, timeout=20).status == 201
    there = f"pinecone:{up.url}/pinecone/articles"
    return [("pinecone:articles", there), ("pinecone:https://articles-abc123.svc.example.pinecone.io", there), ("PINECONE_API_KEY=…", f"PINECONE_API_KEY={up.key}")]


def clients(script, name):
    return pathlib.Path(subprocess.run([ROOT / "scripts" / script], capture_output=True, text=True, check=True).stdout.strip()) / name / "bin/python"


class Page:
    """`replaced`: pairs of what stands in the text and what is run; `missing`: what a machine lacks for it, or None; `server`: whether `tenfold up` holds the home."""

    def __init__(self, replaced=lambda servers, up: [], missing=lambda servers: None, python=lambda servers: sys.executable, server=False):
        self.replaced, self.missing, self.python, self.server = replaced, missing, python, server


PAGES = {
    "docs/sources/folder.md": Page(),
    "docs/sources/web.md": Page(lambda servers, up: [(":8123", f":{servers.port('site')}"), ("http.server 8123", f"http.server {servers.port('site')}")]),
    "docs/sources/notion.md": Page(),
    "docs/sources/github.md": Page(),
    "docs/sources/openapi.md": Page(),
    "docs/sources/imap.md": Page(lambda servers, up: [("imaps://ana%40example.com@mail.example.com", f"imap://ana%40example.com@127.0.0.1:{servers.port('dovecot')}"), ("IMAP_PASSWORD=…", "IMAP_PASSWORD=dovecot-secret")],
                                 lambda servers: None if shutil.which("doveadm") else "dovecot"),
    "docs/sources/postgresql.md": Page(postgresql, no_servers),
    "docs/sources/mongodb.md": Page(lambda servers, up: [("127.0.0.1:27017", f"127.0.0.1:{servers.port('mongodb')}")], no_servers),
    "docs/sources/s3.md": Page(lambda servers, up: [("127.0.0.1:9000", f"127.0.0.1:{servers.port('s3')}"), ("=…", "=secret")], no_servers),
    "docs/backends/embedded.md": Page(postgresql, no_servers),
    "docs/backends/postgresql.md": Page(postgresql, no_servers),
    "docs/backends/weaviate.md": Page(weaviate, no_weaviate),
    "docs/backends/pinecone.md": Page(pinecone, server=True),
    "docs/backends/faiss.md": Page(postgresql, no_servers, lambda servers: servers.programs / "bin/python"),
    "docs/backends/engines.md": Page(postgresql, no_servers),
    "docs/backends/language.md": Page(),
    "docs/apis/openai.md": Page(ours, python=lambda servers: clients("fetch_clients", "."), server=True),
    "docs/apis/pinecone.md": Page(ours, python=lambda servers: clients("fetch_vector_clients", "pinecone"), server=True),
    "docs/apis/weaviate.md": Page(ours, python=lambda servers: clients("fetch_vector_clients", "weaviate"), server=True),
    "docs/formats.md": Page(),
}


def script_of(name, page, replaced, key, folder, python):
    """The page's examples as one script of bash, and what its output must hold, in this order."""
    script, expected = ["set -eu", f"KEY={key}"], []
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S):
        for text, stands_for in replaced:
            block = block.replace(text, str(stands_for))
        if language == "sh":
            script.append(block)
            expected += re.findall(r"^# prints: (.*)$", block, re.M)
        elif language == "python":
            file = folder / f"example{len(script)}.py"
            file.write_text(f"KEY = {key!r}\n" + block)
            script.append(f"'{python}' {file}")
            expected += re.findall(r"# prints: (.*)$", block, re.M)
    return "\n".join(script), expected


def run(name, page, servers, folder):
    home, model = folder / "home", (CACHE / "models/all-minilm-l6-v2/model.safetensors").exists()
    (home / ".tenfold").mkdir(parents=True)
    (home / ".tenfold/tenfold.yaml").write_text("server: {grpc_listen: '127.0.0.1:0'}\nmodels: {generator: none" + ("" if model else ", embedder: none") + "}\n")
    work = folder / "work"
    work.mkdir()
    for shared in ("docs", "examples", "tests"):
        (work / shared).symlink_to(ROOT / shared)
    (work / "bin").mkdir()
    (work / "bin/tenfold").symlink_to(TENFOLD)
    (folder / "tmp").mkdir()
    up = Up(home / ".tenfold", model) if page.server else None
    try:
        python = page.python(servers)
        replaced = [("/tmp/", f"{folder}/tmp/"), *page.replaced(servers, up)]
        script, expected = script_of(name, page, replaced, up.key if up else "", folder, python)
        check(f"{name} has an example", "\n" in script, "no block of sh or python")
        check(f"{name}: nothing is left for the reader to guess", "…" not in re.sub(r"#.*", "", script), re.findall(r".*….*", script))
        path = os.pathsep.join([str(work / "bin"), str(pathlib.Path(python).parent), os.environ["PATH"]])
        environment = {**os.environ, "HOME": str(home), "TENFOLD_CACHE": str(CACHE), "PATH": path}
        with open(folder / "output", "w") as out:  # a file: servers of the example outlive its script and would hold a pipe open
            process = subprocess.Popen(["bash", "-c", script], cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                process.wait(timeout=240)
            except subprocess.TimeoutExpired:
                out.write("(took longer than 240 s)")
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output = (folder / "output").read_text(errors="replace")
        check(f"{name} runs", process.returncode == 0, f"exit {process.returncode}\n{script}\n---\n{output[-3000:]}")
        at = 0
        for text in expected:
            found = output.find(text.strip(), at)
            check(f"{name} prints '{text}'", found >= 0, output[at:][-2000:])
            at = max(at, found)
    finally:
        if up:
            up.end()


def main():
    chosen = sys.argv[2:] or PAGES
    pages = {str(p.relative_to(ROOT)) for kind in ("sources", "backends", "apis") for p in (ROOT / "docs" / kind).glob("*.md")}
    check("every page is run", pages - set(PAGES) <= {"docs/backends/rerankers.md"}, pages - set(PAGES))  # that one is settings alone
    folder = pathlib.Path(tempfile.mkdtemp())
    os.chmod(folder, 0o755)  # PostgreSQL and Dovecot run as nobody where this is root
    servers = Servers(folder)
    try:
        for i, name in enumerate(chosen):
            if reason := PAGES[name].missing(servers):
                print(f"left out: {name}: {reason}")
                continue
            (folder / str(i)).mkdir()
            began = time.monotonic()
            run(name, PAGES[name], servers, folder / str(i))
            print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    finally:
        servers.end()
        shutil.rmtree(folder, ignore_errors=True)
    finish()


main()
