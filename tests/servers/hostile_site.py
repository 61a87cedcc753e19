"""A site with every trap a crawler meets: endless links, redirects in circles and elsewhere, a page that never ends, lies about types, pages too large, robots rules, sitemaps.
The second argument is the URL of a place that must never be contacted. POST /_test/seen answers which paths were asked for."""
import gzip, sys, time
import door

ELSEWHERE = sys.argv[2]
ASKED = []


def page(title, *links, head=""):
    return f"<html><head><title>{title}</title>{head}</head><body><h1>{title}</h1>" + "".join(f'<a href="{link}">{link}</a> ' for link in links) + "</body></html>"


class Hostile(door.Handler):
    def told(self, what, body):
        return {"paths": list(ASKED)}

    def html(self, text, headers=()):
        self.send(200, text, "text/html; charset=utf-8", headers)

    def moved(self, where):
        self.send(302, b"", None, [("Location", where)])

    def answer(self, method, path, query, body):
        ASKED.append(path)
        if path == "/robots.txt":
            return self.send(200, "User-agent: *\nDisallow: /\n\nUser-agent: Tenfold\nDisallow: /secret\nAllow: /secret/open\nDisallow: /*.cgi$\nSitemap: /maps/index.xml\n", "text/plain")
        if path == "/maps/index.xml":
            return self.send(200, '<?xml version="1.0"?><sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><sitemap><loc>/maps/a.xml.gz</loc></sitemap><sitemap><loc>/maps/index.xml</loc></sitemap></sitemapindex>', "application/xml")
        if path == "/maps/a.xml.gz":
            return self.send(200, gzip.compress(b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>/from-the-map</loc></url><url><loc>' + ELSEWHERE.encode() + b'/map</loc></url></urlset>'), "application/x-gzip")
        if path == "/":
            return self.html(page("Start", "/a", "/b?utm_source=x&amp;id=1", "/b?id=1", "/loop/1", "/out", "/out-later", "/secret/plans", "/secret/open", "/run.cgi", "/calendar?day=1", "/deep/", "/huge.html", "/lies.html", "/really.html",
                                  "/noindex", "/nofollow", "/copy", "/manual.pdf", "/notes.md", "/picture.png", "/gone", "/forbidden", "mailto:a@example.com", "javascript:void(0)", "http://user:pw@127.0.0.1/x", ELSEWHERE + "/link", "//" + ELSEWHERE.split("//")[1] + "/slashes",
                                  "/a#part", "/%61", "/x/../a", "http://[::1", "/none%", "/tag?q=%ff", "file:///etc/passwd"))
        if path in ("/a", "/b", "/from-the-map", "/secret/open", "/secret/plans", "/run.cgi", "/none%25", "/tag", "/only-by-nofollow", "/by-noindex"):
            return self.html(page(path, "/"))
        if path.startswith("/loop/"):
            return self.moved("/loop/" + ("2" if path.endswith("1") else "1"))
        if path == "/out":
            return self.moved(ELSEWHERE + "/redirect")
        if path == "/out-later":
            return self.moved("/out")
        if path == "/calendar":
            day = int(query["day"][0])
            return self.html(page(f"Day {day}", f"/calendar?day={day + 1}", f"/calendar?day={day}&amp;view=week"))
        if path.startswith("/deep/"):
            return self.html(page("Deep", "deep/", "./", "other/"))
        if path == "/huge.html":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(10 << 30))
            self.end_headers()
            try:
                for _ in range(10 << 10):
                    self.wfile.write(b"x" * (1 << 20))
            except OSError:
                pass
            self.close_connection = True
            return
        if path == "/lies.html":
            return self.send(200, b"\x7fELF\0\0\0binary", "text/html")
        if path == "/really.html":
            return self.send(200, b"%PDF-1.4\n%%EOF", "text/html")
        if path == "/noindex":
            return self.html(page("Kept out", "/by-noindex", head='<meta name="ROBOTS" content="NOINDEX, follow">'))
        if path == "/nofollow":
            return self.html('<title>N</title><a rel="external nofollow" href="/only-by-nofollow">x</a>')
        if path == "/copy":
            return self.html(page("Copy", head='<link rel="canonical" href="/a">'))
        if path == "/manual.pdf":
            return self.send(200, b"%PDF-1.4 manual", "application/pdf", [("ETag", '"v1"')])
        if path == "/notes.md":
            return self.send(200, "# Notes", "application/octet-stream")
        if path == "/forbidden":
            return self.send(403, "no", "text/plain")
        self.send(404, "no such page", "text/plain")


door.serve(Hostile)
