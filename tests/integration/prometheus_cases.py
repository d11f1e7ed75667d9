"""Prometheus with the shipped rules, scraping real servers: run by test_prometheus."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from programs import Server, ask, free_port, load, run_cases  # noqa: E402

FOLDER = "deploy/prometheus"


def promtool(*words):
    done = subprocess.run(["promtool", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Prometheus:
    """The shipped configuration and rules; only addresses, intervals and windows are this test's."""

    def __init__(self, targets):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        with open(FOLDER + "/prometheus.yml") as file:
            config = yaml.safe_load(file)
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"}
        jobs = {job["job_name"]: job for job in config["scrape_configs"]}
        jobs["onnxd"]["static_configs"] = [{"targets": [url[len("http://"):] for url in targets]}]
        jobs["prometheus"]["static_configs"] = [{"targets": [f"127.0.0.1:{self.port}"]}]
        with open(self.folder.name + "/prometheus.yml", "w") as file:
            yaml.safe_dump(config, file)
        with open(FOLDER + "/rules.yml") as file:
            rules = file.read()
        rules = re.sub(r"for: \w+", "for: 1s", rules).replace("[1m]", "[3s]")
        with open(self.folder.name + "/rules.yml", "w") as file:
            file.write(rules)

    def __enter__(self):
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(self.folder.name + "/log", "w+")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.folder.name}/prometheus.yml", f"--storage.tsdb.path={self.folder.name}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        self.wait(lambda: ask(self.url + "/-/ready"))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        self.folder.cleanup()

    def wait(self, condition, seconds=60):
        limit, last = time.monotonic() + seconds, None
        while time.monotonic() < limit:
            try:
                last = condition()
                if last:
                    return last
            except (urllib.error.URLError, ConnectionError) as error:
                last = error
            assert self.process.poll() is None, open(self.folder.name + "/log").read()
            time.sleep(0.1)  # scrapes and evaluations bring it about
        raise AssertionError(f"not within {seconds} s; at last: {last}")

    def query(self, expression):
        text = ask(self.url + "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        return json.loads(text)["data"]["result"]

    def alerts(self, state, **labels):
        found = json.loads(ask(self.url + "/api/v1/alerts"))["data"]["alerts"]
        return [a for a in found if a["state"] == state and labels.items() <= a["labels"].items()]


def configuration_and_rules_are_right():
    promtool("check", "config", FOLDER + "/prometheus.yml")
    promtool("check", "rules", FOLDER + "/rules.yml")
    promtool("test", "rules", FOLDER + "/rules_test.yml")


def dashboard_queries():
    with open("deploy/grafana/dashboards/onnxd.json") as file:
        dashboard = json.load(file)
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        metric, label = re.match(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
        yield variable["name"], f'{metric}{{{label}!=""}}'


def no_query_of_the_dashboard_is_empty():
    with Server("--workers", "1") as server, Prometheus([server.url]) as prometheus:
        sender, refused = load(server.url, rate=300), load(server.url, rate=20, connections=2, path="/nowhere")
        try:
            queries = list(dashboard_queries())
            assert len(queries) > 30
            for title, expression in queries:
                for name, value in (("$__rate_interval", "3s"), ("$instance", ".*"), ("$model", ".*")):
                    expression = expression.replace(name, value)
                assert "$" not in expression, expression
                found = prometheus.wait(lambda: [r for r in prometheus.query(expression) if r["value"][1] != "NaN"], 30)
                assert found, f"{title}: {expression}"
            recorded = [rule["record"] for group in yaml.safe_load(open(FOLDER + "/rules.yml"))["groups"]
                        for rule in group["rules"] if "record" in rule]
            for name in recorded:
                prometheus.wait(lambda: prometheus.query(name), 30)
            rate = lambda: float(prometheus.query("sum(onnxd:requests:rate1m)")[0]["value"][1])  # noqa: E731
            prometheus.wait(lambda: 200 < rate() < 400)  # the load's 300, once a whole window has passed
        finally:
            sender.kill()
            refused.kill()
            sender.wait()
            refused.wait()


def the_alert_fires_for_a_stalled_server_and_resolves():
    with Server("--workers", "1") as server, Server("--workers", "1") as other, \
            Prometheus([server.url, other.url]) as prometheus:
        broken = {"alertname": "OnnxdObjectiveBroken", "objective": "availability"}
        prometheus.wait(lambda: len(prometheus.query('up{job="onnxd"} == 1')) == 2)
        assert not prometheus.alerts("firing", **broken)
        server.process.send_signal(signal.SIGSTOP)
        try:
            fired = prometheus.wait(lambda: prometheus.alerts("firing", **broken))
            assert [a["labels"]["instance"] for a in fired] == [server.url[len("http://"):]], fired
        finally:
            server.process.send_signal(signal.SIGCONT)
        prometheus.wait(lambda: not prometheus.alerts("firing", **broken))
        assert len(prometheus.query('up{job="onnxd"} == 1')) == 2


run_cases(globals(), sys.argv[1:])
