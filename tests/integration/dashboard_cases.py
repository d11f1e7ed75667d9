"""The page at / in a headless browser: run by test_dashboard."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from browser import Browser  # noqa: E402
from programs import BUILD, MODEL, ROW, Server, ask, load, run_cases  # noqa: E402

READY = "document.getElementById('state').textContent === 'ready' && document.getElementById('fields').children.length"
TEXT = "document.getElementById('%s').textContent"


def ready(browser, url):
    page = browser.open(url)
    page.wait(READY)
    return page


def the_page_loads():
    with Server() as server, Browser() as browser:
        page = ready(browser, server.url + "/")
        page.wait("document.getElementById('version').textContent")
        assert page.faults == [], page.faults
        assert page.requests and all(url.startswith((server.url, "data:,")) for url in page.requests), page.requests
        source = ask(server.url + "/", headers={"Accept": "text/html"})
        outside = set(re.findall(r"https?://[^'\"` <]+", source)) - {"http://www.w3.org/2000/svg"}
        assert not outside, outside
        policy = page.run("fetch('/', {headers: {Accept: 'text/html'}}).then(a => a.headers.get('content-security-policy'))")
        assert "default-src 'none'" in policy and "unsafe" not in policy, policy
        # what the policy does not know by its hash does not run
        page.run("(() => { const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
                 "document.body.append(s); })()")
        assert page.run("window.broken") is None
        assert page.faults, "the policy was not enforced"


def it_shows_live_numbers():
    with Server() as server, Browser() as browser:
        page = ready(browser, server.url + "/")
        assert page.run(TEXT % "c-latency").startswith("no requests")
        sender = load(server.url, rate=400)
        try:
            page.wait("Number(document.getElementById('t-rate').textContent) > 100")
            page.wait("/[0-9]/.test(document.getElementById('t-p99').textContent)")
            page.wait("document.querySelectorAll('#c-rate .line1, #c-latency .line2').length === 2")
            page.wait("document.querySelector('#c-batch .bar').getAttribute('height') > 0")
            page.wait("[...document.querySelectorAll('#rows .n')].every(cell => /[0-9]/.test(cell.textContent))")
            page.wait("document.querySelectorAll('#stages .stage').length === 4")
            page.run("fetch('/predict', {method: 'POST', body: 'nonsense'})")
            page.wait("document.getElementById('t-errors').className === 'wrong'")
        finally:
            sender.kill()
            sender.wait()
        page.wait("document.getElementById('t-rate').textContent === '0'")
        faults = [f for f in page.faults if "/predict" not in f]  # a browser logs the 400 that was asked for
        assert faults == [], faults


def the_form_predicts():
    with tempfile.TemporaryDirectory() as folder:  # the model without its description: the form asks for its inputs
        the_form_of_inputs_predicts(shutil.copy(MODEL, folder))


def the_form_of_inputs_predicts(model):
    with Server(model=model) as server, Browser() as browser:
        page = ready(browser, server.url + "/")
        assert page.run("document.querySelectorAll('#fields input').length") == 15
        page.run(f"document.querySelectorAll('#fields input').forEach((cell, i) => cell.value = {json.dumps(ROW)}[i])")
        page.run("document.getElementById('form').dispatchEvent(new Event('input'))")
        page.run("document.getElementById('predict').click()")
        page.wait("document.querySelector('#answer .out')")
        want = json.loads(ask(server.url + "/predict", json.dumps({"features": ROW})))["ctr"]
        assert float(page.run("document.querySelector('#answer .out').textContent")) == want
        code = page.run(TEXT % "code")
        assert code.startswith("curl -d") and "3321" in code, code
        page.run("document.querySelector('#fields input').value = 'seven'")
        page.run("document.getElementById('predict').click()")
        page.wait("document.querySelector('#answer .wrong')")
        assert "'seven' is not a number" in page.run("document.getElementById('answer').textContent")
        limits = page.run("[...document.querySelectorAll('#fields input')].map(cell => cell.title)")
        assert limits[0].startswith("0 to ") and limits[-1] == "", limits
        for _ in range(20):  # what the page proposes is what the model takes
            page.run("document.getElementById('shuffle').click()")
            page.run("document.getElementById('answer').replaceChildren()")
            page.run("document.getElementById('predict').click()")
            page.wait("document.querySelector('#answer .out')")
        page.run("document.querySelector('#fields input').value = '1e9'")
        page.run("document.getElementById('predict').click()")  # the server says why, the page shows it
        page.wait("/input|range|index/.test(document.getElementById('answer').textContent)"
                  "&& !/seven/.test(document.getElementById('answer').textContent)")


def raw_fields_make_a_form():
    """A model that deepfm_train made, with the description of its raw fields beside it."""
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        train = [os.path.join(BUILD, "deepfm_train")]
        subprocess.run(train + ["synth", "--rows", "3000", "--tags", "3", "--output", folder + "/log.csv"], check=True)
        subprocess.run(train + ["fit", "--data", folder + "/log.csv", "--label", "click", "--multi", "user_tag", "--out", folder, "--name", "ads",
                                "--epochs", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Server(model=f"ads={folder}/ads.onnx") as server:
            page = ready(browser, server.url + "/")
            names = page.run("[...document.querySelectorAll('[data-field]')].map(cell => cell.dataset.field)")
            assert "weekday" in names and "user_tag" in names, names
            assert page.run("document.querySelectorAll('#fields datalist option').length") > 20
            page.run("document.querySelector('[data-field=domain]').value = 'nobody.example'")
            page.run("document.getElementById('predict').click()")
            page.wait("document.querySelector('#answer .out')")
            assert 0 < float(page.run("document.querySelector('#answer .out').textContent")) < 1
            code = page.run("document.getElementById('form').dispatchEvent(new Event('input'));"
                            "document.getElementById('code').textContent")
            row = json.loads(re.search(r"'(\{.*\})'", code).group(1))
            assert row["domain"] == "nobody.example" and isinstance(row["user_tag"], list), row
            assert page.faults == [], page.faults


def states_and_versions_are_shown():
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        for version in "12":
            os.makedirs(f"{folder}/good/{version}")
            shutil.copy(MODEL, f"{folder}/good/{version}/model.onnx")
        with Server("--repository", folder, model=None) as server:
            os.makedirs(f"{folder}/bad/1")
            with open(f"{folder}/bad/1/model.onnx", "w") as file:
                file.write("no model")
            page = ready(browser, server.url + "/")
            server.process.send_signal(1)  # SIGHUP
            page.wait("[...document.querySelectorAll('#rows tr')].some(r => /bad.*unavailable/.test(r.textContent))")
            assert page.run("document.querySelector('#rows .reason').textContent.length > 5")
            rows = page.run("[...document.querySelectorAll('#rows tr')].map(r => r.dataset.name + r.dataset.version)")
            assert "good2" in rows, rows
            assert page.run("document.getElementById('model').options.length") == 1  # only what can be tried
            assert page.faults == [], page.faults


def a_key_is_asked_for():
    with tempfile.NamedTemporaryFile("w") as keys, Browser() as browser:
        keys.write("the-first-key\n")
        keys.flush()
        with Server("--api-key-file", keys.name) as server:
            page = browser.open(server.url + "/")
            page.wait("!document.getElementById('key').hidden")
            page.run("document.querySelector('#key input').value = 'the-first-key'")
            page.run("document.querySelector('#key button').click()")
            page.wait(READY)
            assert page.run("document.getElementById('key').hidden")


def it_fits_a_phone():
    with Server() as server, Browser() as browser:
        page = ready(browser, server.url + "/")
        for width, dark in ((360, True), (390, False), (1200, False)):
            page.size(width, 800, dark=dark, phone=width < 500)
            page.wait(f"innerWidth === {width}")
            assert page.run("document.documentElement.scrollWidth") <= width
            back = page.run("getComputedStyle(document.body).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", back)[:3])) > 3 * 128
            assert light != dark, back


run_cases(globals(), sys.argv[1:])
