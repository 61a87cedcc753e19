"""NOT GitHub: a small server built from the shapes in the public documentation of its REST API (version 2022-11-28), for tests: one repository, acme/handbook, with files (git trees,
contents) and issues, pull requests and comments; Link headers, x-ratelimit-* and Retry-After, 404 for a private repository without the right token, 409 for an empty one,
truncated trees. Hashes are those of git. Nothing of real traffic was recorded."""
import datetime, hashlib, sys, urllib.parse
import door

TOKEN = "ghp_secretsecretsecret"
STATE = {"private": False, "files": {}, "issues": {}, "next": 1, "limited": [], "tree_limit": 100000, "page_cap": 100, "auth_seen": 0}


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def blob_sha(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree_of(prefix):
    """Entries directly below a folder: name -> (type, sha, size, mode)."""
    out = {}
    for path, data in STATE["files"].items():
        if not path.startswith(prefix):
            continue
        name, _, rest = path[len(prefix):].partition("/")
        if rest and name not in out:
            out[name] = ("tree", tree_sha(prefix + name + "/"), None, "040000")
        elif not rest:
            out[name] = ("blob", blob_sha(data), len(data), "120000" if data.startswith(b"-> ") else "100644")
    return out


def tree_sha(prefix):
    raw = b""
    for name, (kind, sha, _, mode) in sorted(tree_of(prefix).items(), key=lambda e: e[0] + ("/" if e[1][0] == "tree" else "")):
        raw += mode.lstrip("0").encode() + b" " + name.encode() + b"\0" + bytes.fromhex(sha)
    return hashlib.sha1(b"tree %d\0" % len(raw) + raw).hexdigest()


def walk(prefix, base):
    for name, (kind, sha, size, mode) in sorted(tree_of(prefix).items()):
        entry = {"path": prefix[len(base):] + name, "mode": mode, "type": kind, "sha": sha}
        if size is not None:
            entry["size"] = size
        yield entry, prefix + name + "/"
        if kind == "tree":
            yield from walk(prefix + name + "/", base)


def folders(prefix=""):
    yield prefix
    for name, (kind, *_) in tree_of(prefix).items():
        if kind == "tree":
            yield from folders(prefix + name + "/")


class GitHub(door.Handler):
    def told(self, what, body):
        if what == "file":
            if body.get("text") is None:
                del STATE["files"][body["path"]]
            else:
                STATE["files"][body["path"]] = body["text"].encode()
        elif what == "issue":
            by_name = next((i for i in STATE["issues"].values() if i["title"] == body["title"]), None)
            if body.get("body") is None:
                del STATE["issues"][by_name["number"]]
                return {}
            if not by_name:
                number = STATE["next"]
                STATE["next"] += 1
                by_name = STATE["issues"][number] = {"number": number, "title": body["title"], "created_at": now(), "state": "open", "user": {"login": "ana"}, "labels": [{"name": "docs"}],
                                                     "html_url": f"https://github.com/acme/handbook/issues/{number}", "closed_at": None, "_comments": [], "_review": []}
                if body.get("pull"):
                    by_name["pull_request"] = {"url": "x"}
            by_name.update(body=body["body"], updated_at=now())
            by_name["_comments"] += [{"user": {"login": "ben"}, "created_at": now(), "body": text} for text in body.get("comments", [])]
            by_name["_review"] += [{"user": {"login": "eve"}, "created_at": now(), "body": text, "path": "a.md"} for text in body.get("review", [])]
            return {"number": by_name["number"]}
        elif what == "set":
            STATE.update(body)
        elif what == "get":
            return {"auth_seen": STATE["auth_seen"]}
        return {}

    def gone(self, status=404, message="Not Found"):
        self.send(status, {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)})

    def paged(self, items, path, query):
        per_page = min(int(query.get("per_page", ["30"])[0]), STATE["page_cap"])
        page = int(query.get("page", ["1"])[0])
        last = max(1, -(-len(items) // per_page))
        links = []
        for rel, n in (("prev", page - 1), ("next", page + 1), ("last", last), ("first", 1)):
            if 1 <= n <= last and not (rel == "next" and page >= last):
                again = urllib.parse.urlencode({**{k: v[0] for k, v in query.items()}, "page": n})
                links.append(f'<http://{self.headers["Host"]}{path}?{again}>; rel="{rel}"')
        shown = [{k: v for k, v in item.items() if not k.startswith("_")} for item in items[(page - 1) * per_page: page * per_page]]
        self.send(200, shown, headers=[("Link", ", ".join(links))])

    def answer(self, method, path, query, body):
        if STATE["limited"]:
            kind = STATE["limited"].pop(0)
            if kind == "primary":
                return self.send(403, {"message": "API rate limit exceeded for user"}, headers=[("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(int(datetime.datetime.now().timestamp()) + 1))])
            if kind == "hour":
                return self.send(403, {"message": "API rate limit exceeded for user"}, headers=[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", str(int(datetime.datetime.now().timestamp()) + 3000))])
            if kind == "secondary":
                return self.send(429, {"message": "You have exceeded a secondary rate limit"}, headers=[("Retry-After", "0")])
            return self.send(502, "<html>bad gateway</html>", "text/html")
        authorization = self.headers.get("Authorization")
        if authorization == f"Bearer {TOKEN}":
            STATE["auth_seen"] += 1
        elif authorization:
            return self.gone(401, "Bad credentials")
        elif STATE["private"]:
            return self.gone()
        root = "/repos/acme/handbook"
        if path == root:
            return self.send(200, {"id": 1, "full_name": "acme/handbook", "private": STATE["private"], "visibility": "private" if STATE["private"] else "public", "default_branch": "main", "html_url": "https://github.com/acme/handbook"})
        if path.startswith(root + "/git/trees/"):
            if not STATE["files"]:
                return self.gone(409, "Git Repository is empty.")
            name = urllib.parse.unquote(path[len(root + "/git/trees/"):])
            prefix = "" if name in ("main", "release/1") else next((f for f in folders() if tree_sha(f) == name), None)
            if prefix is None:
                return self.gone()
            entries = [e for e, _ in walk(prefix, prefix)]
            recursive = "recursive" in query
            if not recursive:
                entries = [e for e in entries if "/" not in e["path"]]
            return self.send(200, {"sha": tree_sha(prefix), "tree": entries[:STATE["tree_limit"]] if recursive else entries, "truncated": recursive and len(entries) > STATE["tree_limit"]})
        if path.startswith(root + "/contents/"):
            data = STATE["files"].get(urllib.parse.unquote(path[len(root + "/contents/"):]))
            return self.gone() if data is None else self.send(200, data, "application/vnd.github.raw+json; charset=utf-8")
        if path == root + "/issues":
            issues = list(STATE["issues"].values())
            if "since" in query:
                issues = [i for i in issues if i["updated_at"] >= query["since"][0]]
            if query.get("state", ["open"])[0] != "all":
                issues = [i for i in issues if i["state"] == query.get("state", ["open"])[0]]
            issues.sort(key=lambda i: (i["created_at" if query.get("sort", ["created"])[0] == "created" else "updated_at"], i["number"]), reverse=query.get("direction", ["desc"])[0] == "desc")
            return self.paged([{**i, "comments": len(i["_comments"])} for i in issues], path, query)
        parts = path[len(root):].strip("/").split("/")
        if len(parts) >= 2 and parts[0] in ("issues", "pulls") and parts[1].isdigit():
            issue = STATE["issues"].get(int(parts[1]))
            if not issue:
                return self.gone(410, "This issue was deleted")
            if len(parts) == 2:
                return self.send(200, {**{k: v for k, v in issue.items() if not k.startswith("_")}, "comments": len(issue["_comments"])})
            return self.paged(issue["_comments" if parts[0] == "issues" else "_review"], path, query)
        self.gone()


door.serve(GitHub)
