"""Starts the PostgreSQL that scripts/fetch_servers installs, for tests that are scripts."""
import os, shutil, socket, subprocess, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_postgresql(servers, folder, port=None):
    """PostgreSQL refuses to run as root, and a user without rights cannot read root's cache: then it runs as nobody from a copy."""
    as_server = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] if os.geteuid() == 0 else []
    package = (servers / "postgresql").resolve().parent
    shutil.copytree(package / "pginstall", folder / "pgserver/pginstall", symlinks=True)
    shutil.copytree(package.parent / "pgserver.libs", folder / "pgserver.libs")
    (folder / "password").write_text("secret")
    (folder / "data").mkdir()
    if as_server:
        subprocess.check_call(["chown", "-R", "65534:65534", folder])
        os.chmod(folder, 0o755)
    programs, port = folder / "pgserver/pginstall/bin", port or free_port()
    subprocess.check_call(as_server + [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256", "--pwfile", folder / "password", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"], stdout=subprocess.DEVNULL)
    server = subprocess.Popen(as_server + [programs / "postgres", "-D", folder / "data", "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = folder / "data/postmaster.pid"
    for _ in range(3000):
        if state.exists() and "ready" in state.read_text():
            return server, port
        assert server.poll() is None, "PostgreSQL ended"
        time.sleep(0.01)
    raise AssertionError("PostgreSQL did not come up")
