"""Models changed by request where several processes serve: every process has the change, whichever took the request.

usage: admin_cases.py CASE... [--on-io-uring CASE...]
"""
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import urllib.error

sys.path.insert(0, "tests/support")
sys.path.insert(0, "tests/integration")
from programs import MODEL, ROW, Server, ask, free_port, run_cases  # noqa: E402
from reliability_cases import Load, await_true, children, free_ports, metric, repository, servers_of  # noqa: E402

BODY = json.dumps({"features": ROW})
with open(MODEL, "rb") as model_file:
    CONTENT = base64.b64encode(model_file.read()).decode()
ROOM = ["--max-body-bytes", str(64 << 20)]


def order(url, model, verb="load", **parameters):
    """Status and text of the answer."""
    names = {name.replace("v1", "file:1/model.onnx").replace("v2", "file:2/model.onnx"): value
             for name, value in parameters.items()}
    try:
        return 200, ask(f"{url}/v2/repository/models/{model}/{verb}", json.dumps({"parameters": names}))
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def expect(got, status, text=""):
    assert got[0] == status and text in got[1], (got, status, text)


def serves(url, model):
    try:
        return '"ctr"' in ask(f"{url}/predict?model={model}", BODY)
    except urllib.error.HTTPError as error:
        assert error.code == 404, error.read()
        return False


def index(url):
    return {(entry["name"], entry["version"]): (entry["state"], entry["reason"])
            for entry in json.loads(ask(url + "/v2/repository/index", "{}"))}


@contextlib.contextmanager
def three(*options):
    """Three processes on ports of their own; their addresses and the folder."""
    first = free_ports(3)
    with repository() as folder, Server("--repository", folder, "--admin", "--processes", "3", "--workers", "1",
                                        "--port-per-process", "--port", str(first), *ROOM, *options, model=None) as server:
        yield server, [f"http://127.0.0.1:{port}" for port in range(first, first + 3)], folder


def an_order_reaches_every_process():
    with three() as (_, urls, folder):
        expect(order(urls[0], "given", v1=CONTENT, config='{"max_batch":7}'), 200)
        for url in urls:
            assert serves(url, "given") and index(url)["given", "1"] == ("READY", ""), url
        expect(order(urls[1], "given", v1=base64.b64encode(b"broken").decode(), v2=CONTENT), 400, "model 'given' version 1")
        expect(order(urls[1], "given", v2=CONTENT, config='{"max_batch":0}'), 400, "max_batch")
        for url in urls:
            assert serves(url, "given") and ("given", "2") not in index(url), url
        expect(order(urls[2], "ranker", "unload"), 200)
        os.makedirs(f"{folder}/ranker/2")
        shutil.copy(MODEL, f"{folder}/ranker/2/model.onnx")
        for url in urls:
            assert not serves(url, "ranker") and index(url)["ranker", "1"] == ("UNAVAILABLE", "unloaded by request"), url
        expect(order(urls[0], "ranker"), 200)
        for url in urls:
            assert index(url)["ranker", "2"] == ("READY", ""), url
        expect(order(urls[1], "given", "unload"), 200)
        expect(order(urls[2], "given", "unload"), 404, "model 'given' is not served")
        expect(order(urls[2], "none"), 404, "model 'none' is not in the repository")
        assert not any(serves(url, "given") for url in urls)


def orders_at_the_same_time_come_one_after_the_other():
    with three() as (_, urls, _):
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(order(urls[i % 3], f"given{i % 4}", v1=CONTENT)))
                   for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [status for status, _ in answers] == [200] * 12, answers
        for url in urls:
            assert all(serves(url, f"given{i}") for i in range(4)), url


def no_request_is_lost_while_other_models_come_and_go():
    with repository() as folder, Server("--repository", folder, "--admin", "--processes", "3", "--workers", "1", *ROOM,
                                        model=None) as server:
        changes = 0
        with Load(server.url, seconds=3) as load:
            while load.running():
                expect(order(server.url, "given", v1=CONTENT), 200)
                expect(order(server.url, "ranker"), 200)  # the one that is asked for is loaded again
                expect(order(server.url, "given", "unload"), 200)
                changes += 3
        load.check("200")
        assert changes >= 3
        print(f"{changes} orders under load")


def a_process_that_dies_comes_back_as_its_siblings_are():
    with three() as (server, urls, _):
        expect(order(urls[0], "given", v1=CONTENT), 200)
        expect(order(urls[0], "ranker", "unload"), 200)
        for n, victim in enumerate(children(server.process.pid), 1):
            os.kill(victim, signal.SIGKILL)
            expect(order(urls[n % 3], f"meanwhile{n}", v2=CONTENT), 200)  # of another process, or the connection waits
            await_true(lambda n=n: metric(urls[0], "onnxd_process_restarts_total") == n, "each is started again")
        await_true(lambda: len(children(server.process.pid)) == 3, "all are back")
        for url in urls:
            await_true(lambda url=url: serves(url, "given"), url)
            assert not serves(url, "ranker") and all(serves(url, f"meanwhile{n}") for n in (1, 2, 3)), url
            assert index(url)["given", "1"] == ("READY", ""), index(url)


def what_was_given_stays_through_reloads():
    with three("--watch") as (server, urls, folder):
        expect(order(urls[0], "given", v1=CONTENT), 200)
        expect(order(urls[1], "ranker", v1=CONTENT), 200)  # before the folder's own
        shutil.copytree(f"{folder}/ranker", f"{folder}/other")
        server.process.send_signal(signal.SIGHUP)
        for url in urls:
            await_true(lambda url=url: serves(url, "other"), url)
            assert serves(url, "given") and serves(url, "ranker")
        shutil.rmtree(f"{folder}/ranker")
        shutil.rmtree(f"{folder}/other")
        for url in urls:
            await_true(lambda url=url: not serves(url, "other"), url)
            assert serves(url, "given") and serves(url, "ranker")


def upgrade(*options):
    port = free_port()
    with repository() as folder:
        shutil.copytree(f"{folder}/ranker", f"{folder}/second")
        with Server("--repository", folder, "--admin", "--port", str(port), *ROOM, *options, model=None) as server:
            old = server.process.pid
            expect(order(server.url, "given", v1=CONTENT), 200)
            expect(order(server.url, "ranker", "unload"), 200)
            try:
                os.kill(old, signal.SIGUSR2)
                await_true(lambda: server.process.poll() is not None, "the old one ends")
                for _ in range(8):  # whichever process answers
                    assert serves(server.url, "given") and serves(server.url, "second") and not serves(server.url, "ranker")
                expect(order(server.url, "given", "unload"), 200)
                assert not serves(server.url, "given")
            finally:
                for left in servers_of(folder):
                    os.kill(left, signal.SIGTERM)
                await_true(lambda: not servers_of(folder), "all end")


def an_upgrade_takes_the_orders_along():
    upgrade("--workers", "2")


def an_upgrade_of_processes_takes_the_orders_along():
    upgrade("--workers", "1", "--processes", "3")


def on_both_loops(words):
    """The cases to run, by name."""
    loops, cases = "epoll", {}
    for word in words:
        if word == "--on-io-uring":
            loops = "io_uring"
            continue

        def run(loop=loops, case=globals()[word]):
            os.environ["ONNXD_EVENT_LOOP"] = loop
            case()
        cases[word if loops == "epoll" else f"{word}_{loops}"] = run
    return cases


def has_uring():
    with contextlib.suppress(RuntimeError), Server("--event-loop", "io_uring"):
        return True
    return False


if __name__ == "__main__":
    chosen = on_both_loops(sys.argv[1:])
    for name in [name for name in chosen if name.endswith("_io_uring") and not has_uring()]:
        print(f"no io_uring here\n[  SKIPPED ] {name}\n[  SKIPPED ] {name}", flush=True)
        del chosen[name]
    run_cases(chosen, list(chosen))
