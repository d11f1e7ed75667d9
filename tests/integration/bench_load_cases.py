"""onnxd bench load against real servers: run by test_bench_load."""
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import browser  # noqa: E402
from programs import ONNXD, Server, run_cases  # noqa: E402

SHORT = ["--duration", "300ms", "--warm-up", "50ms", "--connections", "4", "--quiet"]


def bench(*words, expect=0):
    done = subprocess.run([ONNXD, "bench", "load", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
    return done


def report(*words, expect=0):
    return json.loads(bench(*words, "--json", "-", expect=expect).stdout)


def random_rows_follow_the_model():
    with Server() as server:
        name = json.loads(subprocess.check_output(["curl", "-sX", "POST", server.url + "/v2/repository/index"]))[0]["name"]
        for path, options in ((f"/v2/models/{name}/infer", ["--random", "binary", "--batch", "16"]),
                              ("/predict", []), ("/predict", ["--batch", "3"]), ("/infer", ["--batch", "2"]),
                              (f"/v1/models/{name}:predict", ["--batch", "2"]), ("", ["--random", "json"])):
            found = report(server.url + path, *options, *SHORT)
            assert found["requests"] > 0 and list(found["status"]) == ["200"], (path, found["status"])
        # the indices reach to the ends of their tables: rows beyond them would be refused above
        found = report(server.url + "/predict?model=" + name, "-R", "500", *SHORT)
        assert found["audit"]["rate_asked"] > 0 and list(found["status"]) == ["200"], found["status"]
        said = bench(server.url + "/predict?model=none", *SHORT, expect=66).stderr
        assert "none" in said, said


def several_targets_share_the_load():
    with Server() as one, Server() as other:
        found = report(one.url + "/health", one.url + "/v2", other.url + "/health", "--weight", "2", "--weight", "1",
                       "--weight", "1", "-R", "1000", *SHORT)
        counts = [target["response_us"]["n"] for target in found["targets"]]
        assert sum(counts) == found["requests"] and found["requests"] in (299, 300, 301), found["requests"]
        assert abs(counts[0] - 150) <= 2 and abs(counts[1] - 75) <= 2 and abs(counts[2] - 75) <= 2, counts
        text = bench(one.url + "/health", one.url + "/nowhere", *SHORT).stdout
        assert "Target" in text and "Status" in text and "404" in text, text
        bench(one.url + "/health", other.url + "/health", "--weight", "1", *SHORT, expect=64)
        bench(one.url + "/health", "--weight", "0", *SHORT, expect=64)


def https_is_spoken_and_checked():
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = folder + "/key.pem", folder + "/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        with Server("--tls-cert", certificate, "--tls-key", key) as server:
            url = "https://localhost:" + server.url.rsplit(":", 1)[1] + "/predict"
            for options in (["--ca", certificate], ["--insecure"], ["--ca", certificate, "-R", "300"],
                            ["--ca", certificate, "--pipeline", "4"], ["--insecure", "--new-connections"]):
                found = report(url, *options, *SHORT)
                assert found["requests"] > 0 and list(found["status"]) == ["200"], (options, found)
                assert found["error_share"] == 0, (options, found["faults"])
            said = bench(url, *SHORT, expect=74).stderr
            assert "self-signed" in said or "certificate" in said, said
            said = bench(url.replace("localhost", "127.0.0.1"), "--ca", certificate, *SHORT, expect=74).stderr
            assert "mismatch" in said, said
            # requests that are not random meet the fault in the run
            found = report(url, "--body", "{}", *SHORT, expect=1)
            assert found["requests"] == 0 and found["faults"]["connect"] > 0, found["faults"]
            said = bench(url, "--ca", key, *SHORT, expect=65).stderr
            assert "key.pem" in said, said


def objectives_set_the_exit_code():
    with Server() as server:
        url = server.url + "/predict"
        kept = report(url, "-R", "300", "--slo", "p50<10s,errors<0.1%,rps>100", *SHORT)
        assert [o["kept"] for o in kept["objectives"]] == [True] * 3, kept["objectives"]
        for objective, value in (("p50<1us", True), ("p99.99<10s", False)):  # too few samples for the second
            done = subprocess.run([ONNXD, "bench", "load", url, "-R", "300", "--slo", objective, *SHORT, "--json", "-"],
                                  capture_output=True, text=True)
            found = json.loads(done.stdout)
            assert done.returncode == (4 if found["audit"]["client_limited"] else 3), done
            assert (found["objectives"][0]["found"] is not None) == value, found["objectives"]


def every_output_is_written():
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        files = {kind: f"{folder}/out.{kind}" for kind in ("json", "csv", "markdown", "html")}
        words = [word for kind, path in files.items() for word in ("--" + kind, path)]
        history = folder + "/history.db"
        done = bench(server.url + "/predict", *words, "--duration", "1500ms", "--warm-up", "50ms", "--history", history,
                     "--quiet")
        assert "Requests/sec:" in done.stdout and "95 % interval" in done.stdout, done.stdout
        found = json.load(open(files["json"]))
        low, high = found["response_us_interval_95"]["p50"]
        assert found["exact_samples"] and low <= found["response_us"]["p50"] <= high, found
        rows = list(csv.DictReader(open(files["csv"])))
        assert len(rows) == len(found["course"]) and sum(r["requests"] for r in found["course"]) == found["requests"]
        assert "| p99 |" in open(files["markdown"]).read() and os.path.getsize(history) > 0
        found = report(server.url + "/predict", "--sample-memory", "100", "--duration", "1500ms", "--quiet")
        assert not found["exact_samples"] and found["response_us_interval_95"]["p50"] is not None, found["basis"]


def the_page_has_no_faults():
    if browser.find() is None:
        raise AssertionError("a browser is needed: packages.txt names chromium")
    with tempfile.TemporaryDirectory() as folder, Server() as server, browser.Browser() as b:
        path = folder + "/report.html"
        bench(server.url + "/predict", server.url + "/nowhere", "-R", "2000", "--html", path, "--duration", "1500ms",
              "--quiet")
        page = b.open("file://" + path)
        page.wait("document.readyState === 'complete' && document.querySelectorAll('svg path').length >= 6")
        assert page.faults == [], page.faults
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == [], page.requests
        text = page.run("document.body.innerText")
        for word in ("Throughput", "p99", "By target", "By status", "404", "Sent late", "95 % intervals"):
            assert word in text, (word, text)
        for dark in (False, True):  # text must stand out from the page in both
            page.size(900, 1400, dark=dark)
            colours = page.run("(() => { const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]; })()")
            light = [sum(map(int, c[4:-1].split(","))) / 3 for c in colours]
            assert (light[0] - light[1] > 120) if dark else (light[1] - light[0] > 120), colours
            page.picture(os.environ.get("PICTURES", folder) + f"/load_report_{'dark' if dark else 'light'}.png")
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"


def options_are_checked():
    for words, word in ((["--stages", "x"], "stages"), (["--duration", "5 s"], "duration"),
                        (["--stages", "1s", "--profile", "spike"], "one of"), (["--header", "x"], "header"),
                        (["--body", "a", "--rows", "b"], "one of"), (["--pacing", "busy"], "--rate"),
                        (["--profile", "connections", "--html", "x"], "--html")):
        done = subprocess.run([ONNXD, "bench", "load", "http://127.0.0.1:1/", "--method", "GET", *words],
                              capture_output=True, text=True)
        assert done.returncode == 64 and word in done.stderr, (words, done)
    said = bench("http://127.0.0.1:1/predict", expect=74).stderr
    assert "cannot connect" in said, said
    with Server() as server:
        said = bench(server.url + "/predict", "--random", "binary", expect=64).stderr
        assert "/v2/models" in said, said
        limited = subprocess.run(["bash", "-c", "ulimit -n 100; exec \"$@\"", "x", ONNXD, "bench", "load",
                                  server.url + "/health", "-c", "2000"], capture_output=True, text=True)
        assert limited.returncode == 71 and "ulimit -n" in limited.stderr, limited


def connections_are_swept():
    with Server() as server:
        found = report(server.url + "/predict", "--profile", "connections", "--connections", "16", "--duration", "200ms",
                       "--warm-up", "20ms", "--quiet")
        assert [(s["connections"], s["new_each"]) for s in found["steps"]] == \
            [(1, False), (4, False), (16, False), (16, True)], found
        assert all(s["requests_per_s"] > 0 and s["error_share"] == 0 for s in found["steps"]), found
        text = bench(server.url + "/predict", "--profile", "connections", "--connections", "1", "--duration", "100ms",
                     "--quiet").stdout
        assert "new each" in text, text
        found = report(server.url + "/predict", "--profile", "spike", "--rate", "100", "--duration", "400ms", "--quiet")
        assert found["requests"] in (129, 130, 131), found["requests"]  # 100/s, 1000/s, 100/s: 10 + 100 + 20


run_cases(globals(), sys.argv[1:] or ["options_are_checked"])
