"""NOT Notion: a small server built from the shapes in the public documentation of its API (version 2022-06-28), for tests: search, pages, databases with query, children of blocks;
has_more and next_cursor, 429 with Retry-After, errors as {"object": "error", "status", "code", "message"}, times of editing with minutes only. Nothing of real traffic was recorded."""
import datetime, json, uuid
import door

TOKEN = "ntn_secretsecretsecret"
STATE = {"pages": {}, "databases": {}, "children": {}, "page_cap": 100, "limited": 0, "versions": []}


def minute(age=0):
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    return at.strftime("%Y-%m-%dT%H:%M:00.000Z")


def rich(text, **annotations):
    return [{"type": "text", "text": {"content": text, "link": None}, "plain_text": text, "href": None,
             "annotations": {"bold": False, "italic": False, "strikethrough": False, "underline": False, "code": False, "color": "default", **annotations}}]


def paragraph(text):
    return {"object": "block", "id": str(uuid.uuid4()), "type": "paragraph", "has_children": False, "archived": False, "in_trash": False, "paragraph": {"rich_text": rich(text), "color": "default"}}


def plain(id):
    return id.replace("-", "")


class Notion(door.Handler):
    def told(self, what, body):
        if what == "page":
            page = next((p for p in STATE["pages"].values() if p["_title"] == body["title"]), None)
            if body.get("gone"):
                page["archived"] = page["in_trash"] = True
                return {}
            if not page:
                id = str(uuid.uuid4())
                parent = body.get("parent") or {"type": "workspace", "workspace": True}
                page = {"object": "page", "id": id, "created_time": minute(body.get("age", 0)), "archived": False, "in_trash": False, "url": "https://www.notion.so/" + plain(id), "parent": parent, "_title": body["title"],
                        "properties": {"Name": {"id": "title", "type": "title", "title": rich(body["title"])}, **body.get("properties", {})}}
                STATE["pages"][plain(id)] = page
                if parent.get("type") == "page_id":
                    STATE["children"].setdefault(plain(parent["page_id"]), []).append({"object": "block", "id": id, "type": "child_page", "has_children": True, "archived": False, "child_page": {"title": body["title"]}})
            page["last_edited_time"] = minute(body.get("age", 0))
            kept = [b for b in STATE["children"].get(plain(page["id"]), []) if b["type"].startswith("child_")]
            self.put_blocks(plain(page["id"]), body.get("blocks") or [paragraph(body.get("text", ""))])
            STATE["children"][plain(page["id"])] += kept
            return {"id": plain(page["id"])}
        if what == "database":
            id = str(uuid.uuid4())
            STATE["databases"][plain(id)] = {"object": "database", "id": id, "title": rich(body["title"]), "archived": False, "parent": {"type": "page_id", "page_id": body["page"]}}
            STATE["children"].setdefault(plain(body["page"]), []).append({"object": "block", "id": id, "type": "child_database", "has_children": False, "archived": False, "child_database": {"title": body["title"]}})
            return {"id": plain(id)}
        if what == "set":
            STATE.update(body)
        if what == "get":
            return {"versions": STATE["versions"]}
        return {}

    def put_blocks(self, id, blocks):
        for block in blocks:
            block.setdefault("object", "block")
            block.setdefault("id", str(uuid.uuid4()))
            block.setdefault("archived", False)
            children = block.pop("children", None)
            block["has_children"] = bool(children)
            if children:
                self.put_blocks(plain(block["id"]), children)
        STATE["children"][id] = blocks

    def fail(self, status, code, message, headers=()):
        self.send(status, {"object": "error", "status": status, "code": code, "message": message, "request_id": str(uuid.uuid4())}, headers=headers)

    def listed(self, items, wanted, start):
        """Cursors name an item, not a position."""
        size = min(wanted, STATE["page_cap"])
        at = 0
        if start:
            at = next((i for i, item in enumerate(items) if plain(item["id"]) == start), None)
            if at is None:
                return self.fail(400, "validation_error", "The start_cursor provided is invalid")
        more = len(items) > at + size
        shown = [{k: v for k, v in item.items() if not k.startswith("_")} for item in items[at: at + size]]
        self.send(200, {"object": "list", "results": shown, "next_cursor": plain(items[at + size]["id"]) if more else None, "has_more": more, "type": "page_or_database"})

    def answer(self, method, path, query, body):
        if STATE["limited"]:
            STATE["limited"] -= 1
            return self.fail(429, "rate_limited", "You have been rate limited. Please try again in a few minutes.", [("Retry-After", str(STATE.get("after", 0)))])
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.fail(401, "unauthorized", "API token is invalid.")
        if self.headers.get("Notion-Version") != "2022-06-28":
            return self.fail(400, "missing_version", "Notion-Version header failed validation")
        body = json.loads(body) if body else {}
        parts = path.strip("/").split("/")[1:]
        if parts == ["search"] and method == "POST":
            pages = [p for p in STATE["pages"].values() if not p["archived"]]
            if body.get("sort"):
                pages.sort(key=lambda p: p["last_edited_time"], reverse=body["sort"]["direction"] == "descending")
            return self.listed(pages, body.get("page_size", 100), body.get("start_cursor"))
        missing = lambda kind: self.fail(404, "object_not_found", f"Could not find {kind} with ID: {parts[1]}. Make sure the relevant pages and databases are shared with your integration.")
        if parts[0] == "pages" and len(parts) == 2:
            page = STATE["pages"].get(plain(parts[1]))
            return self.send(200, {k: v for k, v in page.items() if not k.startswith("_")}) if page else missing("page")
        if parts[0] == "databases":
            database = STATE["databases"].get(plain(parts[1]))
            if not database:
                return missing("database")
            if len(parts) == 2:
                return self.send(200, database)
            if parts[2] == "query" and method == "POST":
                return self.listed([p for p in STATE["pages"].values() if plain(p["parent"].get("database_id", "")) == plain(parts[1]) and not p["archived"]], body.get("page_size", 100), body.get("start_cursor"))
        if parts[0] == "blocks" and len(parts) == 3 and parts[2] == "children":
            if plain(parts[1]) not in STATE["children"]:
                return missing("block")
            return self.listed(STATE["children"][plain(parts[1])], int(query.get("page_size", ["100"])[0]), query.get("start_cursor", [None])[0])
        self.fail(400, "invalid_request_url", "Invalid request URL.")


door.serve(Notion)
