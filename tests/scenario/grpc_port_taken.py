#!/usr/bin/env python3
"""A server whose port of gRPC is taken says so and serves everything else. Usage: grpc_port_taken.py BIN HOST:PORT. Prints "N passed, N failed"."""
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import checks
from checks import check

with tempfile.TemporaryDirectory() as home:
    pathlib.Path(home, "tenfold.yaml").write_text(f"server:\n  grpc_listen: {sys.argv[2]}\n")
    with open(pathlib.Path(home, "said"), "w+") as said:
        server = subprocess.Popen([sys.argv[1], "up", "--home", home, "--listen", "127.0.0.1:0", "--no-models"], stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            url = next((line.split()[1] for line in server.stdout if line.startswith("ready ")), None)
            check("it serves HTTP", url and urllib.request.urlopen(url + "/health", timeout=10).status == 200, url)
            said.seek(0)
            text = said.read()
            check("and says what it does not serve", "gRPC is not served" in text and sys.argv[2] in text and "server.grpc_listen" in text, text)
        finally:
            server.terminate()
            check("and stops", server.wait(20) == 0)
checks.finish()
