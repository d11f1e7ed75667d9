"""Servers and other programs for integration tests in Python, and the runner whose lines tools/run_tests counts."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request

BUILD = os.path.abspath(os.environ.get("BUILD_DIR", "build"))
ONNXD = os.path.join(BUILD, "onnxd")
MODEL = "models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx"
ROW = [4, 15, 1, 1, 1, 3321, 282, 2, 77, 13, 0.728, 0.09, 0.5, 0.25, 0.125]


class Server:
    """onnxd serve on a free port, until the block ends."""

    def __init__(self, *options, model=MODEL, env=None):
        self.log = tempfile.TemporaryFile("w+")
        words = [ONNXD, "serve", *(["--model", model] if model else []), *options]
        if "--port" not in options:
            words += ["--port", "0"]
        self.process = subprocess.Popen(words, stderr=self.log, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        while not (found := re.search(r"^listening on (\S+)", self.text(), re.M)):
            if self.process.poll() is not None:
                raise RuntimeError("the server ended: " + self.text())
            time.sleep(0.01)  # the line comes or the process ends
        self.url = found.group(1)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)
        self.log.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(url, body=None, headers=None):
    data = body.encode() if isinstance(body, str) else body
    with urllib.request.urlopen(urllib.request.Request(url, data, headers or {}), timeout=30) as answer:
        return answer.read().decode()


def load(url, rate=500, seconds=60, connections=8, path="/predict"):
    """The load generator in the background; the caller stops it."""
    import json
    return subprocess.Popen([ONNXD, "bench", "load", url + path, "--rate", str(rate), "--connections", str(connections),
                             "--duration", f"{seconds}s", "--warm-up", "0s", "--body", json.dumps({"features": ROW})],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run_cases(cases, names):
    """Runs the named functions; exit status 1 when one failed."""
    failed = False
    for name in names:
        print(f"[ RUN      ] {name}", flush=True)
        try:
            cases[name]()
            print(f"[       OK ] {name}", flush=True)
        except Exception:
            traceback.print_exc()
            failed = True
            print(f"[  FAILED  ] {name}\n[  FAILED  ] {name}", flush=True)
    sys.exit(1 if failed else 0)
