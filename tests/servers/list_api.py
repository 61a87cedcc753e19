"""A small API of articles that describes itself by OpenAPI 3.1, for tests: the same list by cursor (/cursor), by offset (/offset), by page (/page), by Link header (/link) and
whole (/plain), five items a page at most, with a bearer token."""
import sys
import door

TOKEN = "list_secretsecretsecret"
STATE = {"items": [], "next": 1, "server": "/v1", "lie": ""}


def query(*names):
    return [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]


class Api(door.Handler):
    def told(self, what, body):
        if what == "item":
            found = next((i for i in STATE["items"] if i["name"] == body["name"]), None)
            if body.get("text") is None:
                STATE["items"].remove(found)
                return {}
            if not found:
                found = {"id": STATE["next"], "name": body["name"]}
                STATE["next"] += 1
                STATE["items"].append(found)
            found.update(body={"text": body["text"]}, tags=["a", "b"], updated_at="2024-01-01", author={"name": "Ana"}, nothing=None)
            return {"id": found["id"]}
        if what == "set":
            STATE.update(body)
        return {}

    def answer(self, method, path, query_, body):
        if path == "/openapi.json":
            row = lambda *names, **more: {"get": {"parameters": query(*names), "responses": {"200": {"description": "a list"}}, **more}}
            return self.send(200, {"openapi": "3.1.0", "info": {"title": "Articles", "version": "1"}, "servers": [{"url": STATE["server"]}], "components": {"parameters": {"cursor": query("cursor")[0]}},
                                   "paths": {"/cursor": {"get": {"parameters": [{"$ref": "#/components/parameters/cursor"}, *query("limit")]}}, "/offset": row("offset", "limit"), "/page": row("page", "per_page"), "/link": row(), "/plain": row(),
                                             "/teams/{team}/articles": row("offset"), "/write": {"post": {}}}})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(401, {"message": "who are you?"})
        items = STATE["items"]
        asked = lambda name, otherwise: query_.get(name, [otherwise])[0]
        if path == "/v1/cursor":
            after = int(asked("cursor", "0"))
            if STATE["lie"] == "loop":
                return self.send(200, {"data": [], "meta": {"next_cursor": "7"}})
            size = min(int(asked("limit", "5")), 5)
            page = [i for i in items if i["id"] > after][:size]
            more = bool(page) and any(i["id"] > page[-1]["id"] for i in items)
            return self.send(200, {"data": page, "meta": {"next_cursor": str(page[-1]["id"]) if more else None}})
        if path in ("/v1/offset", "/v1/teams/red/articles"):
            at = int(asked("offset", "0"))
            return self.send(200, {"data": items[at: at + 5], "total": len(items)})
        if path == "/v1/page":
            at = (int(asked("page", "1")) - 1) * 5
            return self.send(200, {"items": items[at: at + 5]})
        if path == "/v1/link":
            at = int(asked("from", "0"))
            where = STATE["lie"] if STATE["lie"].startswith("http") else ""
            return self.send(200, items[at: at + 5], headers=[("Link", f'<{where}/v1/link?from={at + 5}>; rel="next"')] if at + 5 < len(items) else [])
        if path == "/v1/plain":
            return self.send(200, items)
        self.send(404, {"message": "no such path"})


door.serve(Api)
