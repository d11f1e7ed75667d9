"""deepfm_train as its users meet it: simulate, train, interrupt and resume, judge, predict, serve."""
import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests")
from support.programs import BUILD, Server, ask, run_cases  # noqa: E402

TRAIN = os.path.join(BUILD, "deepfm_train")
SCHEMA = "models/deepfm.schema.json"
FIT = ["--schema", SCHEMA, "--embedding", "4", "--dnn", "32,16", "--lr", "0.002", "--batch", "128", "--neg", "20",
       "--seed", "5", "--threads", "2"]
work = tempfile.TemporaryDirectory()


def at(name):
    return os.path.join(work.name, name)


def run(*words, status=0):
    done = subprocess.run([TRAIN, *words], capture_output=True, text=True)
    assert done.returncode == status, f"{words}: exit status {done.returncode}: {done.stderr}"
    return done


def logs():
    """A training log and a test log of one world, made once."""
    if not os.path.exists(at("train.csv.gz")):
        run("synth", "--rows", "40000", "--seed", "9", "--click-rate", "0.03", "--output", at("train.csv.gz"))
        run("synth", "--rows", "8000", "--skip", "40000", "--seed", "9", "--click-rate", "0.03", "--output",
            at("test.csv"))
    return at("train.csv.gz"), at("test.csv")


def trained():
    """The model of the logs, made once."""
    train, _ = logs()
    path = at("fit/deepfm_emb4_lr0.002_dnn3216_neg20_best.onnx")
    if not os.path.exists(path):
        done = run("fit", "--data", train, "--out", at("fit"), "--epochs", "3", *FIT)
        assert path in done.stdout, done.stdout
    return path


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def a_model_learns_and_is_judged():
    _, test = logs()
    done = run("eval", trained(), "--data", test, "--json", at("eval.json"), "--html", at("eval.html"))
    assert "AUC with a field taken from other rows" in done.stdout
    e = json.load(open(at("eval.json")))
    assert e["rows"] == 8000 and e["auc"] > 0.62, e["auc"]
    assert 0.8 < e["calibration"] < 1.25, e["calibration"]
    assert len(e["auc_with_field_shuffled"]) == 15 and len(e["roc"]) == 201
    page = open(at("eval.html")).read()
    for part in ("ROC curve", "Calibration", "Log loss", "<svg", "creative", "</html>"):
        assert part in page, part


def an_interrupted_training_resumes_to_the_same_bytes():
    train, _ = logs()
    whole, part = at("whole"), at("part")
    options = ["--data", train, "--epochs", "40", "--patience", "0", "--name", "m", *FIT]
    run("fit", "--out", whole, *options)
    process = subprocess.Popen([TRAIN, "fit", "--out", part, *options], stderr=subprocess.PIPE, text=True,
                               stdout=subprocess.DEVNULL)
    for line in process.stderr:
        if line.startswith("epoch 2.00"):
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 75, rest
    assert "--resume" in rest and os.path.exists(f"{part}/checkpoint"), rest
    assert not os.path.exists(f"{part}/m.onnx")
    run("export", part, "--out", at("early"), "--name", "early")  # what there is can be had at once
    assert os.path.exists(at("early/early.features.json"))
    run("fit", "--resume", "--out", part, *options)
    assert bytes_of(f"{part}/m.onnx") == bytes_of(f"{whole}/m.onnx")
    run("export", part, "--out", at("again"), "--name", "m")
    assert bytes_of(at("again/m.onnx")) == bytes_of(f"{whole}/m.onnx")


def threads_do_not_change_a_model():
    train, _ = logs()
    for n in ("1", "3"):
        run("fit", "--data", train, "--out", at("threads" + n), "--epochs", "1", "--name", "m", *FIT, "--threads", n,
            "--dropout", "0.1")
    assert bytes_of(at("threads1/m.onnx")) == bytes_of(at("threads3/m.onnx"))


def crosses_are_trained_saved_and_served():
    train, test = logs()
    options = ["--data", train, "--epochs", "1", *FIT, "--cross"]
    run("fit", "--out", at("cross"), "--keep-rows", *options, "user_tag*creative*hour,region*adexchange")
    name = "deepfm_emb4_lr0.002_dnn3216_cross2_neg20_best.onnx"
    run("export", at("cross"), "--out", at("cross/again"))
    assert bytes_of(at("cross/" + name)) == bytes_of(at("cross/again/" + name))
    run("predict", at("cross/" + name), "--data", test, "--output", at("cross.csv"), "--form", "csv")
    assert len(open(at("cross.csv")).read().splitlines()) == 8001
    for cross, words in (("creative*planet", 'no field "planet"'), ("slotprice*hour", "is a number"),
                         ("hour", "a single field"), ("hour*region,region*hour", "given twice")):
        done = run("fit", "--data", train, "--out", at("wrong"), *FIT, "--cross", cross, status=64)
        assert words in done.stderr and "cross" in done.stderr, done.stderr
    other = run("fit", "--resume", "--out", at("cross"), "--keep-rows", *options, "hour*region", status=64)
    assert "another --cross" in other.stderr, other.stderr


def raw_fields_through_the_server_equal_predict():
    _, test = logs()
    run("predict", trained(), "--data", test, "--output", at("p.jsonl"))
    run("predict", trained(), "--data", test, "--output", at("p.csv"), "--form", "csv")
    predicted = [json.loads(line)["ctr"] for line in open(at("p.jsonl"))]
    column = [row["ctr"] for row in csv.DictReader(open(at("p.csv")))]
    assert [float(x) for x in column] == predicted and len(predicted) == 8000
    with open(test, newline="") as f:
        rows = [{k: v for k, v in row.items() if k != "click"} for row in csv.DictReader(f)][:600]
    numbers = {"slotwidth", "slotheight", "slotvisibility", "slotprice", "advertiser"}
    rows = [{k: float(v) if k in numbers else v for k, v in row.items()} for row in rows]
    with Server(model=trained()) as server:
        for first in range(0, 600, 50):
            body = json.dumps({"instances": rows[first:first + 50]})
            answers = json.loads(ask(server.url + "/predict", body))["predictions"]
            for row, answer in enumerate(answers, first):
                p = answer["ctr"] if isinstance(answer, dict) else answer
                assert abs(p - predicted[row]) <= 1e-6, (row, p, predicted[row])


def faults_name_file_and_line():
    train, test = logs()
    lines = open(test).read().splitlines()
    cases = {
        "empty.csv": b"",
        "head.csv": (lines[0] + "\n").encode(),
        "junk.csv": bytes(range(256)) * 100,
        "short.csv": "\n".join(lines[:40] + ["1,2,3"]).encode(),
        "label.csv": "\n".join(lines[:40] + ["7" + lines[40][1:]]).encode(),
        "one.csv": "\n".join([lines[0]] + [x for x in lines[1:] if x[0] == "0"]).encode(),
        "cut.csv.gz": gzip.compress("\n".join(lines).encode())[:3000],
    }
    for name, data in cases.items():
        with open(at(name), "wb") as f:
            f.write(data)
        done = subprocess.run([TRAIN, "fit", "--data", at(name), "--out", at("bad"), *FIT], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode in (65, 66), (name, done.returncode, done.stderr)
        place = {"short.csv": "short.csv:41", "label.csv": "label.csv:41", "one.csv": "positive"}.get(name, name)
        assert place in done.stderr, (name, done.stderr)
        assert not [x for x in os.listdir(at("bad")) if x.endswith(".onnx")], name
    with open(at("long.csv"), "w") as f:
        f.write(lines[0] + "\n" + "x" * 5_000_000)
    done = subprocess.run([TRAIN, "fit", "--data", at("long.csv"), "--out", at("bad"), "--max-line", "1M", *FIT],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "long.csv" in done.stderr and "2" in done.stderr.split("long.csv")[1][:12], done.stderr


def broken_files_are_refused():
    model = trained()
    folder = at("broken")
    os.makedirs(folder, exist_ok=True)
    for name, data in (("checkpoint", bytes_of(at("fit/checkpoint"))[:-9]),
                       ("features.json", bytes_of(at("fit/features.json")))):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(data)
    assert "damaged" in run("export", folder, status=65).stderr
    with open(at("lonely.onnx"), "wb") as f:
        f.write(bytes_of(model))
    assert "features.json" in run("predict", at("lonely.onnx"), "--data", logs()[1], status=66).stderr
    with open(at("lonely.features.json"), "wb") as f:  # of another model
        f.write(bytes_of(model.replace(".onnx", ".features.json")).replace(b'"model_sha256":"', b'"model_sha256":"0', 1))
    assert subprocess.run([TRAIN, "predict", at("lonely.onnx"), "--data", logs()[1]], capture_output=True).returncode != 0


def what_a_model_misses_is_found():
    """A log whose clicks depend on two fields together and on neither alone, and a model that learnt next to nothing."""
    draw = random.Random(3)
    rows = ["click,a,b,c,tags,price"]
    for _ in range(20000):
        a, b = draw.randrange(6), draw.randrange(6)
        tags = ";".join(draw.sample("pqrst", draw.randrange(1, 4)))
        click = draw.random() < (0.4 if (a + b) % 2 else 0.2)
        rows.append(f"{int(click)},{a},{b},{draw.randrange(5)},{tags},{draw.random():.3f}")
    with open(at("pairs.csv"), "w") as f:
        f.write("\n".join(rows) + "\n")
    run("fit", "--data", at("pairs.csv"), "--label", "click", "--multi", "tags", "--numbers", "price", "--out",
        at("pairs"), "--name", "m", "--epochs", "1", "--lr", "0.000001", "--dnn", "4", "--embedding", "2", "--seed", "1")
    find = ["interactions", at("pairs/m.onnx"), "--data", at("pairs.csv")]
    done = run(*find, "--json", at("pairs.json"), "--html", at("pairs.html"), "--threads", "3")
    assert done.stdout.endswith("\na*b\n"), done.stdout
    result = json.load(open(at("pairs.json")))
    assert result["cross"] == "a*b" and result["rows"] == 20000, result["cross"]
    assert [x["fields"] for x in result["found"] if x["for_cross"]] == [["a", "b"]], result["found"]
    assert len(result["tested"]) == 5 + 10 + 10, len(result["tested"])
    assert "a &times; b" in open(at("pairs.html")).read()
    assert run(*find, "--threads", "1").stdout == done.stdout
    few = run(*find, "--fields", "a,c,tags", "--triples", "off")
    assert few.stdout.endswith("for fit --cross:\n\n") and "6 combinations of 3 fields" in few.stdout, few.stdout
    assert '"d"' in run(*find, "--fields", "a,d", status=64).stderr
    assert "threshold" in run(*find, "--threshold", "0", status=64).stderr
    for text, status, word in (("click,a,b\n1,2,3\n0,1,1\n", 66, "'c'"), (rows[0] + "\n1,1,1,1,p,1\n", 65, "other.csv: rows: all 1 of one class"),
                               (rows[0] + "\n", 65, "other.csv")):
        with open(at("other.csv"), "w") as f:
            f.write(text)
        assert word in run(*find[:3], at("other.csv"), status=status).stderr, word
    assert "pairs.csv" in run(*find, "--json", at("pairs.csv"), status=64).stderr
    assert "other.onnx" in run("interactions", at("other.onnx"), *find[2:], status=66).stderr


if __name__ == "__main__":
    names = ["a_model_learns_and_is_judged", "an_interrupted_training_resumes_to_the_same_bytes",
             "threads_do_not_change_a_model", "crosses_are_trained_saved_and_served",
             "raw_fields_through_the_server_equal_predict", "faults_name_file_and_line", "broken_files_are_refused",
             "what_a_model_misses_is_found"]
    run_cases(globals(), names)
