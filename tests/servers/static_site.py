"""A site of files: Python's own http.server over the folder of the second argument, with its index pages, Last-Modified and 304."""
import http.server, sys
import door


class Site(door.Handler, http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments):
        http.server.SimpleHTTPRequestHandler.__init__(self, *arguments, directory=sys.argv[2])

    def answer(self, method, path, query, body):
        if method == "HEAD":
            return http.server.SimpleHTTPRequestHandler.do_HEAD(self)
        return http.server.SimpleHTTPRequestHandler.do_GET(self)


door.serve(Site)
