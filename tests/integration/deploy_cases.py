"""What deploy/ ships, run for real where no container engine is needed: run by test_deploy."""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from programs import BUILD, ONNXD, ROW, Server, ask, free_port, run_cases  # noqa: E402

BODY = json.dumps({"features": ROW})


def instructions():
    """[(word, rest)] of the Dockerfile, its continued lines joined."""
    with open("deploy/Dockerfile") as file:
        text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", file.read(), flags=re.M))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def final_stage():
    steps = instructions()
    last = max(i for i, (word, _) in enumerate(steps) if word == "FROM")
    return steps[last:]


# ---- the container ----

def the_container_holds_what_it_needs():
    """The image's file system, made by the Dockerfile's own step, run as its user with its environment."""
    with tempfile.TemporaryDirectory() as work:
        tree, port = work + "/tree", free_port()
        os.chmod(work, 0o755)
        packing = [rest for word, rest in instructions() if word == "RUN"][-1].split("&&")[-1].strip()
        assert packing == "deploy/make_tree build /tree", packing
        subprocess.run(["deploy/make_tree", BUILD, tree], check=True, stdout=subprocess.DEVNULL)
        size = sum(os.lstat(os.path.join(folder, f)).st_size for folder, _, files in os.walk(tree) for f in files)
        assert size < 40 << 20, size
        stage = final_stage()
        env = dict(pair.split("=", 1) for word, rest in stage if word == "ENV" for pair in shlex.split(rest))
        user = next(rest for word, rest in stage if word == "USER")
        entry = json.loads(next(rest for word, rest in stage if word == "ENTRYPOINT"))
        command = json.loads(next(rest for word, rest in stage if word == "CMD"))
        probe = json.loads(re.search(r"CMD (\[.*\])", next(r for w, r in stage if w == "HEALTHCHECK")).group(1))
        env.update(ONNXD_HOST="127.0.0.1", ONNXD_PORT=str(port))
        inside = ["/usr/sbin/chroot", "--userspec=" + user, tree]
        assert subprocess.run(inside + probe, env=env, stderr=subprocess.DEVNULL).returncode != 0
        server = subprocess.Popen(inside + entry + command, env=env, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr.readline().startswith("listening on"), server.stderr.read()
            with open(f"/proc/{server.pid}/status") as file:
                assert re.search(r"^Uid:\s+10001\s+10001", file.read(), re.M)
            assert subprocess.run(inside + probe, env=env).returncode == 0
            answer = json.loads(ask(f"http://127.0.0.1:{port}/predict?model=deepfm", BODY))
            assert 0 < answer["ctr"] < 1, answer
        finally:
            server.terminate()
            assert server.wait(20) == 0
            server.stderr.close()


def the_dockerfile_keeps_its_rules():
    steps, stage = instructions(), final_stage()
    words = [word for word, _ in stage]
    for needed in ("USER", "HEALTHCHECK", "EXPOSE", "ENTRYPOINT", "CMD"):
        assert needed in words, needed
    assert next(rest for word, rest in stage if word == "USER").split(":")[0] not in ("root", "0")
    names = set()
    for word, rest in steps:
        assert word in {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
                        "ENTRYPOINT", "CMD"}, word
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            names.add(name)
            assert image == "scratch" or (":" in image and not image.endswith(":latest")), image
        if word in ("ENTRYPOINT", "CMD"):
            assert isinstance(json.loads(rest), list)
        if word == "COPY":
            *sources, _ = [part for part in rest.split() if not part.startswith("--")]
            stage_name = re.search(r"--from=(\S+)", rest)
            if stage_name:
                assert stage_name.group(1) in names, rest
            else:
                assert all(os.path.exists(source) for source in sources), rest


# ---- compose ----

def load_yaml(path):
    with open(path) as file:
        return yaml.safe_load(file)


def compose_and_provisioning_fit_together():
    compose = load_yaml("deploy/docker-compose.yml")
    services, published = compose["services"], {}
    for name, service in services.items():
        assert "image" in service and not service["image"].endswith(":latest"), name
        for port in service.get("ports", []):
            address, outside, inside = port.split(":")
            assert address == "127.0.0.1" and outside not in published, port
            published[outside] = (name, inside)
        for mount in service.get("volumes", []):
            source, _ = mount.split(":", 1)
            assert os.path.exists("deploy/" + source) if source.startswith(".") else source in compose["volumes"], mount
        for other in service.get("depends_on", {}):
            assert other in services, other
    servers = [name for name in services if name.startswith("onnxd-")]
    assert [published[str(3001 + i)] for i in range(4)] == [(name, "3000") for name in servers], published
    assert published["3000"] == ("nginx", "3000")
    for name in servers:
        assert os.path.exists(os.path.join("deploy", services[name]["build"]["context"], services[name]["build"]["dockerfile"]))
        known = subprocess.run([ONNXD, "serve", "--help-words"], capture_output=True, text=True).stdout
        for variable in services[name]["environment"]:
            assert "--" + variable[len("ONNXD_"):].lower().replace("_", "-") + "\t" in known, variable
    with open("deploy/nginx/upstream.conf") as file:
        assert re.findall(r"^server ([\w-]+):3000", file.read(), re.M) == servers
    jobs = {job["job_name"]: job for job in load_yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]}
    assert jobs["onnxd"]["static_configs"][0]["targets"] == [name + ":3000" for name in servers]
    source = load_yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in services
    provider = load_yaml("deploy/grafana/provisioning/dashboards/onnxd.yml")["providers"][0]
    assert any(mount.split(":")[1] == provider["options"]["path"] for mount in services["grafana"]["volumes"])


# ---- nginx ----

class Nginx:
    """nginx with the shipped configuration; only addresses and folders are this test's."""

    def __init__(self, folder, upstreams):
        self.folder, self.port = folder, free_port()
        os.chmod(folder, 0o777)
        with open("deploy/nginx/nginx.conf") as file:
            text = file.read()
        text, n = re.subn(r"listen 3000 ", f"listen 127.0.0.1:{self.port} ", text)
        assert n == 1
        with open(folder + "/nginx.conf", "w") as file:
            file.write(text.replace("/tmp/", folder + "/"))
        with open("deploy/nginx/upstream.conf") as file:
            line = re.search(r"^server \S+(.*)$", file.read(), re.M).group(1)
        with open(folder + "/upstream.conf", "w") as file:
            file.writelines(f"server {address}{line}\n" for address in upstreams)
        self.words = ["/usr/sbin/nginx", "-p", folder, "-c", folder + "/nginx.conf", "-e", "stderr"]

    def check(self):
        return subprocess.run(self.words + ["-t"], capture_output=True, text=True)

    def __enter__(self):
        self.log = open(self.folder + "/stderr", "w")
        self.process = subprocess.Popen(self.words + ["-g", "daemon off;"], stderr=self.log)
        self.url = f"http://127.0.0.1:{self.port}"
        for _ in range(1000):
            try:
                ask(self.url + "/")
                return self
            except OSError:
                assert self.process.poll() is None, open(self.folder + "/stderr").read()
                time.sleep(0.01)  # until its port is open
        raise TimeoutError("nginx does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def nginx_takes_its_configuration():
    with tempfile.TemporaryDirectory() as folder:
        done = Nginx(folder, ["127.0.0.1:3001", "127.0.0.1:3002"]).check()
        assert done.returncode == 0 and "warn" not in done.stderr, done.stderr


def answered(url):
    return sum(float(value) for value in re.findall(r"^nv_inference_request_success\S* (\S+)$", ask(url + "/metrics"), re.M))


def a_killed_server_costs_no_request():
    options = ("--workers", "1")
    with tempfile.TemporaryDirectory() as folder, Server(*options) as a, Server(*options) as b, \
            Server(*options) as c, Server(*options) as d:
        servers = [a, b, c, d]
        with Nginx(folder, [server.url[len("http://"):] for server in servers]) as nginx:
            assert json.loads(ask(nginx.url + "/predict", BODY))["ctr"] == json.loads(ask(a.url + "/predict", BODY))["ctr"]
            sender = subprocess.Popen(
                [ONNXD, "bench", "load", nginx.url + "/predict", "--body", BODY, "--rate", "600", "--connections", "16",
                 "--duration", "5s", "--warm-up", "0s", "--json", "-"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            while not all(answered(server.url) > 50 for server in servers):
                assert sender.poll() is None, "the load ended before every server had its share"
                time.sleep(0.02)  # the load brings it about
            d.process.kill()
            d.process.wait()
            at_death = [answered(server.url) for server in servers[:3]]
            report = json.loads(sender.communicate(timeout=60)[0])
            assert report["status"] == {"200": report["requests"]}, report["status"]
            assert report["error_share"] == 0 and not any(report["faults"].values()), report["faults"]
            assert all(answered(server.url) > before for server, before in zip(servers, at_death))
            print(f"    {report['requests']} requests, none failed; response p50 {report['response_us']['p50']:.0f} us, "
                  f"p99 {report['response_us']['p99']:.0f} us")


run_cases(globals(), sys.argv[1:])
