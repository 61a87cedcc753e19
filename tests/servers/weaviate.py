"""Starts the Weaviate that scripts/fetch_servers builds where it is asked to, for tests that are scripts."""
import os, subprocess, time, urllib.request
from postgresql import free_port


def start_weaviate(program, folder):
    """The process, its port of HTTP and its port of gRPC."""
    ports = {name: free_port() for name in ("GRPC_PORT", "CLUSTER_GOSSIP_BIND_PORT", "CLUSTER_DATA_BIND_PORT", "RAFT_PORT", "RAFT_INTERNAL_RPC_PORT", "GO_PROFILING_PORT")}
    settings = {"PERSISTENCE_DATA_PATH": folder, "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "true", "DEFAULT_VECTORIZER_MODULE": "none", "DISABLE_TELEMETRY": "true", "CLUSTER_HOSTNAME": "node1",
                "CLUSTER_ADVERTISE_ADDR": "127.0.0.1", "RAFT_BOOTSTRAP_EXPECT": "1", **ports}
    port = free_port()
    server = subprocess.Popen([program, "--host", "127.0.0.1", "--port", str(port), "--scheme", "http"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, **{k: str(v) for k, v in settings.items()}))
    for _ in range(600):
        assert server.poll() is None, "Weaviate ended"
        try:
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/.well-known/ready", timeout=1).status == 200:
                return server, port, ports["GRPC_PORT"]
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise AssertionError("Weaviate did not come up")
