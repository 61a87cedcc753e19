"""What the servers of this folder share: a free port written to a file, a /_test/ door for the test, faults on demand, and an end when the test ends.

A handler derives from Handler and writes answer(method, path, query, body). POST /_test/mode {"mode": "ok" | "broken" | "stall", "after": N} sets what
happens from N requests on; other /_test/NAME calls go to told(NAME, body)."""
import http.server, json, os, sys, threading, time, urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment
    disable_nagle_algorithm = True
    mode, after, seen = "ok", 0, 0
    lock = threading.RLock()

    def log_message(self, *_):
        pass

    def send(self, status, body=b"", content_type="application/json", headers=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        if isinstance(body, str):
            body = body.encode()
        self.send_response(status)
        if content_type:
            self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def told(self, what, body):
        raise KeyError(what)

    def broken(self):
        self.send(503, {"message": "down for the test"})

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urllib.parse.urlsplit(self.path)
        if parts.path.startswith("/_test/"):
            what, body = parts.path[len("/_test/"):], json.loads(body or b"{}")
            with self.lock:
                if what == "mode":
                    cls = type(self)
                    cls.mode, cls.after, cls.seen = body["mode"], body.get("after", 0), 0
                    return self.send(200, {})
                return self.send(200, self.told(what, body) or {})
        cls = type(self)
        with self.lock:
            cls.seen += 1
            mode = cls.mode if cls.seen > cls.after else "ok"
        if mode == "stall":
            time.sleep(3600)
        if mode == "broken":
            return self.broken()
        with self.lock:
            return self.answer(self.command, parts.path, urllib.parse.parse_qs(parts.query, keep_blank_values=True), body)

    do_GET = do_POST = do_HEAD = do_PATCH = handle_any


def serve(handler):
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), handler)
    with open(sys.argv[1] + ".new", "w") as out:
        out.write(str(server.server_address[1]))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    server.serve_forever()
