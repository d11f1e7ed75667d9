"""Under load, counted by `onnxd bench load`: reloads, a binary upgrade, a killed process, dropped connections, overload.

usage: reliability_cases.py SECONDS CASE...
SECONDS is how long each load lasts: 4 in the gate, 60 for the full proof.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error

sys.path.insert(0, "tests/support")
from programs import MODEL, ONNXD, ROW, Server, ask, free_port, run_cases  # noqa: E402

SECONDS = int(sys.argv[1]) if __name__ == "__main__" else 0  # others say how long
BODY = json.dumps({"features": ROW})
PATIENCE = 60  # seconds for what should come at once


class Load:
    """The load generator beside the block; afterwards .report holds what it saw."""

    def __init__(self, url, rate=400, connections=16, seconds=SECONDS, path="/predict"):
        self.words = [ONNXD, "bench", "load", url + path, "--connections", str(connections), "--duration", f"{seconds}s",
                      "--warm-up", "0s", "--timeout", "20s", "--body", BODY, "--json", "-", "--quiet"]
        self.words += ["--rate", str(rate)] if rate else []

    def __enter__(self):
        self.process = subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True)
        return self

    def running(self):
        return self.process.poll() is None

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
        text = self.process.communicate()[0]
        if kind is None:
            self.report = json.loads(text)
            print({key: self.report[key] for key in ("requests", "status", "faults")}, flush=True)

    def check(self, *allowed):
        faults = {name: n for name, n in self.report["faults"].items() if n}
        others = {status: n for status, n in self.report["status"].items() if n and status not in allowed}
        assert self.report["requests"] > 0 and not faults and not others, (faults, others)


def metric(url, name):
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", ask(url + "/metrics"), re.M))


def await_true(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)  # between two looks


@contextlib.contextmanager
def repository():
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/ranker/1")
        shutil.copy(MODEL, f"{folder}/ranker/1/model.onnx")
        yield folder


def replace_model(folder, version):
    os.makedirs(f"{folder}/ranker/{version}", exist_ok=True)
    shutil.copy(MODEL, f"{folder}/new")
    os.replace(f"{folder}/new", f"{folder}/ranker/{version}/model.onnx")


def a_reload_every_second_loses_no_request():
    with repository() as folder, Server("--repository", folder, "--workers", "2", model=None) as server:
        reloads = 0
        with Load(server.url) as load:
            while load.running():
                version = 1 + reloads % 2
                if reloads % 4 == 3:  # and now and then a version goes
                    shutil.rmtree(f"{folder}/ranker/{version}")
                else:
                    replace_model(folder, version)
                server.process.send_signal(signal.SIGHUP)
                reloads += 1
                time.sleep(1)  # the pace of the case
        load.check("200")
        loads = metric(server.url, "onnxd_model_loads_total")
        print(f"{reloads} reloads, {loads:.0f} loads")
        assert loads >= 1 + (reloads * 3) // 4 - 1, (loads, reloads)
        assert metric(server.url, "onnxd_model_load_failures_total") == 0


def watched_files_are_taken_up_under_load():
    with repository() as folder, Server("--repository", folder, "--watch", "--workers", "1", model=None) as server:
        with Load(server.url) as load:
            replace_model(folder, 2)
            await_true(lambda: '"versions":["1","2"]' in ask(server.url + "/v2/models/ranker"), "version 2")
            with open(f"{folder}/new", "wb") as file:
                file.write(b"no model")
            os.replace(f"{folder}/new", f"{folder}/ranker/2/model.onnx")  # broken: the one before goes on
            await_true(lambda: metric(server.url, "onnxd_model_load_failures_total") == 1, "the failure is counted")
            assert '"state":"READY","reason":""' not in ask(server.url + "/v2/repository/index", b"{}").split('"2"')[1]
            assert '"versions":["1","2"]' in ask(server.url + "/v2/models/ranker")
            with open(f"{folder}/ranker/config.json", "w", encoding="ascii") as file:
                file.write('{"max_batch":16}')
            shutil.rmtree(f"{folder}/ranker/2")
            await_true(lambda: '"versions":["1"]' in ask(server.url + "/v2/models/ranker"), "version 2 gone")
        load.check("200")




def servers_of(tag):
    """Main processes of servers whose command line holds the tag."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            if any(word.startswith(tag.encode()) for word in words) and b"serve" in words:
                found.append(int(name))
    with contextlib.suppress(OSError):
        return [pid for pid in found if int(re.search(r"PPid:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
                not in found]
    return []


def upgrade(*options):
    tag = f"tag{os.getpid()}x{random.randrange(1 << 30)}"
    port = free_port()
    with Server("--port", str(port), *options, model=f"{tag}={MODEL}") as server:
        pid = server.process.pid
        try:
            with Load(server.url) as load:
                for _ in range(2):
                    os.kill(pid, signal.SIGUSR2)
                    old = pid
                    await_true(lambda: not os.path.exists(f"/proc/{old}") or
                               (old == server.process.pid and server.process.poll() is not None), "the old one ends")
                    await_true(lambda: len(servers_of(tag)) == 1, "one is left")
                    pid = servers_of(tag)[0]
                    assert pid != old
                    assert load.running(), "the load ended before the upgrades; more SECONDS are needed"
            load.check("200")
            assert '"ctr"' in ask(server.url + "/predict", BODY)
        finally:
            for left in servers_of(tag):
                if left != server.process.pid:
                    os.kill(left, signal.SIGTERM)
            await_true(lambda: not [p for p in servers_of(tag) if p != server.process.pid], "all end")


def a_binary_upgrade_loses_no_request():
    upgrade("--workers", "2")


def a_binary_upgrade_of_processes_loses_no_request():
    upgrade("--workers", "1", "--processes", "2")


@contextlib.contextmanager
def nginx(upstreams):
    """A load balancer that may try a request again, on a port of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        servers = "".join(f"server 127.0.0.1:{p} max_fails=1 fail_timeout=1s;" for p in upstreams)
        temp = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(f"""daemon off; master_process off; worker_processes 1; pid {folder}/pid;
error_log {folder}/error.log; events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 1000000; {temp}
  upstream onnxd {{ {servers} keepalive 64; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://onnxd; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_next_upstream error timeout non_idempotent; proxy_next_upstream_tries 4; }} }} }}
""")
        process = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"

        def answers():
            with contextlib.suppress(OSError):
                return "ok" in ask(url + "/health")
            return False
        try:
            await_true(answers, "nginx answers")
            yield url
        finally:
            process.terminate()
            process.wait()


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def free_ports(n):
    """n ports one behind the other."""
    for _ in range(100):
        first = free_port()
        with contextlib.suppress(OSError, OverflowError), contextlib.ExitStack() as stack:
            for port in range(first, first + n):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no ports")


def a_killed_process_behind_nginx_loses_no_request():
    first = free_ports(4)
    with Server("--port", str(first), "--processes", "4", "--workers", "1", "--port-per-process") as server, \
            nginx(range(first, first + 4)) as front:
        with Load(front, seconds=SECONDS) as load:
            kills = 0
            while load.running():
                os.kill(random.choice(children(server.process.pid)), signal.SIGKILL)
                kills += 1
                await_true(lambda: len(children(server.process.pid)) == 4, "it comes back")
                time.sleep(1.5)  # the pace of the case
        load.check("200")
        restarts = metric(server.url, "onnxd_process_restarts_total")
        print(f"{kills} kills, {restarts:.0f} restarts")
        await_true(lambda: metric(server.url, "onnxd_process_restarts_total") == kills, "each is counted")


def drop_connections(port, n):
    request = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode()
    for i in range(n):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(request[:random.randrange(len(request) + 1)])
            if i % 3 == 0:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, not closed


def connections_dropped_at_random_points_harm_nobody():
    with Server("--workers", "2", "--request-timeout-ms", "2000") as server:
        port = int(server.url.rsplit(":", 1)[1])
        with Load(server.url) as load:
            threads = [threading.Thread(target=drop_connections, args=(port, 250)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        load.check("200")
        await_true(lambda: metric(server.url, "onnxd_connections_open") <= 1, "all are closed")
        assert metric(server.url, "onnxd_connections_accepted_total") >= 1000


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024


def overload_is_told_and_passes():
    with Server("--workers", "1", "--compute", "threads", "--max-queue-size", "8", "--max-batch", "4") as server:
        ask(server.url + "/predict", BODY)
        with Load(server.url, rate=None, connections=64, seconds=1) as warm:
            pass
        warm.check("200", "503")
        before = resident(server.process.pid)
        with Load(server.url, rate=None, connections=64) as load:
            pass
        load.check("200", "503")
        assert load.report["status"].get("200", 0) > 0 and load.report["status"].get("503", 0) > 0
        after = resident(server.process.pid)
        print(f"memory {before:.1f} MB before, {after:.1f} MB after")
        assert after < before + 8, (before, after)
        try:
            assert '"ctr"' in ask(server.url + "/predict", BODY)
        except urllib.error.HTTPError as error:
            raise AssertionError("it does not recover") from error
        assert metric(server.url, "nv_inference_pending_request_count") == 0


if __name__ == "__main__":
    run_cases(globals(), sys.argv[2:])
