"""Reports of measurements in a headless browser: run by test_bench_reports."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
from browser import Browser  # noqa: E402
from programs import MODEL, ONNXD, run_cases  # noqa: E402


def bench(*arguments):
    subprocess.run([ONNXD, "bench", *arguments], check=True, capture_output=True, text=True, timeout=120)


def trends(folder):
    """Twelve runs whose last is a third slower, and one series with a single run."""
    history, page = folder + "/history.db", folder + "/report.html"
    for i in range(12):
        value = 1330 if i == 11 else 1000 + 7 * (i % 3)
        bench("keep", "--history", history, "--suite", "load", "--setting", "connections=64",
              "--figure", f"answer, p99={value}:ns:lower", "--figure", f"requests={1e9 / value}:1/s:higher")
    bench("keep", "--history", history, "--suite", "micro", "--figure", "<b>parse</b>=12.5:ns:lower")
    bench("report", "--history", history, "--out", page)
    return "file://" + page


def decision(folder):
    page = folder + "/modes.html"
    bench("modes", "--model", MODEL, "--seconds", "0.05", "--slices", "2", "--html", page)
    return "file://" + page


def colours(page):
    """Text and background of the page, and how far apart they are in brightness."""
    ink, paper = page.run("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    brightness = [sum(int(x) for x in re.findall(r"\d+", colour)[:3]) / 3 for colour in (ink, paper)]
    return brightness[0], brightness[1]


def trends_are_drawn_and_explained():
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        page = browser.open(trends(folder))
        page.wait("document.querySelectorAll('h2').length === 2")
        assert page.run("[...document.querySelectorAll('h2')].map(h => h.textContent)") == ["micro", "load"]
        assert page.run("document.querySelectorAll('svg').length") == 2
        assert page.run("document.querySelectorAll('svg circle').length") == 24
        assert page.run("document.querySelectorAll('svg circle.k').length") == 2  # the latest run is worse
        assert "regression" in page.run("document.querySelector('.b.x').textContent")
        # Everything drawn lies within its picture, and each figure of a table is explained.
        assert page.run("""[...document.querySelectorAll('svg circle, svg line')].every(e => {
            const box = e.getBBox(), view = e.ownerSVGElement.viewBox.baseVal;
            return box.x >= 0 && box.y >= 0 && box.x + box.width <= view.width && box.y + box.height <= view.height })""")
        assert page.run("[...document.querySelectorAll('td.e')].every(e => e.textContent.length > 10)")
        assert page.run("[...document.querySelectorAll('svg circle title')].every(e => /onnxd [0-9]/.test(e.textContent))")
        assert "<b>parse</b>" in page.run("document.body.textContent")
        page.size(1000, 1200, dark=False)
        ink, paper = colours(page)
        assert paper > 200 and ink < 90, (ink, paper)
        page.size(1000, 1200, dark=True)
        ink, paper = colours(page)
        assert paper < 50 and ink > 180, (ink, paper)
        page.size(390, 800, phone=True)
        assert page.run("document.documentElement.scrollWidth <= innerWidth"), "wider than a phone"
        assert page.faults == [], page.faults


def the_decision_is_readable():
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        page = browser.open(decision(folder))
        page.wait("document.querySelectorAll('table').length === 2")
        assert page.run("document.querySelectorAll('tr.best').length") == 1
        assert "is recommended" in page.run("document.querySelector('.b').textContent")
        assert page.run("document.querySelectorAll('table')[1].rows.length") == 4  # a head and three modes
        assert page.faults == [], page.faults


def pages_need_nothing_else():
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        for url in trends(folder), decision(folder):
            page = browser.open(url)
            page.wait("document.readyState === 'complete'")
            assert all(request.startswith(("file://", "data:")) for request in page.requests), page.requests
            with open(url[len("file://"):]) as file:
                source = file.read()
            assert "<script" not in source and "http" not in source


run_cases(globals(), sys.argv[1:])
