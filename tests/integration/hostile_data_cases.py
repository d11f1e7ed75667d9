"""Data that no log should hold, given to deepfm_train in every format: a message that names file and line, quickly and
in little memory."""
import fcntl
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, "tests")
from support.programs import BUILD, run_cases  # noqa: E402

TRAIN = os.path.join(BUILD, "deepfm_train")
FIT = ["--embedding", "2", "--dnn", "4", "--threads", "1", "--epochs", "1", "--batch", "16", "--min-count", "1"]
GIB = 1 << 30
MOST_KIB = 300 << 10  # resident, at most; sanitizers' own share is added
EXTRA_KIB = 1 << 20 if "asan" in BUILD or "tsan" in BUILD or "msan" in BUILD else 0
work = tempfile.TemporaryDirectory()

# Of each format: a head, good lines with both labels, and what a line that never ends repeats.
IPINYOU = "b%d\t20130606000104008\t1\tVhk7\tMozilla\t1.2.3.*\t216\t217\t1\ta\tb\tnull\t4\t300\t250\t1\t0\t50\tc\t300\t200\tnull\t1458\t100"
FORMATS = {
    "csv": ("y,site,price\n", ["1,a,0.5", "0,b,2"], "1,a,"),
    "libsvm": ("", ["1 1:1 7:0.5", "0 2:1 7:2"], "1 1:1 "),
    "libffm": ("", ["1 0:1:1 1:7:0.5", "0 0:2:1 1:7:2"], "1 0:1:1 "),
    "ipinyou": ("", [IPINYOU % 1, (IPINYOU % 1).replace("\t1\tVhk7", "\t3\tVhk7"), IPINYOU % 2], "b\t"),
}


def at(name):
    return os.path.join(work.name, name)


def write(name, *parts):
    with open(at(name), "wb") as f:
        for part in parts:
            f.write(part if isinstance(part, bytes) else part.encode())
    return at(name)


def options(name):
    return ["--label", "y"] if ".csv" in name else []


def refused(name, *expected, words=None, stdin=None):
    """Runs fit (or `words`) on the file: exit status of bad data, a message with all of `expected`, memory bounded.
    Returns the message."""
    words = words or ["fit", "--data", at(name), "--out", at("out"), *options(name), *FIT]
    child = subprocess.Popen([TRAIN, *words], stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(60, child.kill)
    timer.start()
    message = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    child.stderr.close()
    assert child.returncode in (65, 66, 71), (name, child.returncode, message)
    for text in expected:
        assert text in message, (name, text, message)
    assert usage.ru_maxrss < MOST_KIB + EXTRA_KIB, (name, usage.ru_maxrss)
    for folder, _, files in os.walk(at("out")):
        assert not [f for f in files if f.endswith(".onnx")], (name, folder, files)
    print(f"    {message.strip().splitlines()[-1].replace(work.name + '/', '')}  ({usage.ru_maxrss >> 10} MiB)")
    return message


def formats():
    for ending, (head, good, endless) in FORMATS.items():
        yield ending, head, "".join(line + "\n" for line in good), endless


def first_bad(head, good):
    return 1 + head.count("\n") + good.count("\n")


def a_line_of_a_gibibyte_is_refused_plain():
    for ending, head, good, endless in formats():
        path = write(f"long.{ending}", head, good, endless * (1 << 16))
        os.truncate(path, GIB + 100)  # the rest is a hole that reads as zeros
        assert os.stat(path).st_blocks < 4096
        refused(f"long.{ending}", f"long.{ending}", f"line {first_bad(head, good)} is longer than")
        os.unlink(path)


def a_line_of_a_gibibyte_is_refused_packed():
    for ending, head, good, endless in formats():
        piece = gzip.compress((endless * (1 << 20))[:1 << 20].encode(), 1)  # members follow one another: one text
        write(f"bomb.{ending}.gz", gzip.compress((head + good).encode()), piece * 1024)
        assert os.stat(at(f"bomb.{ending}.gz")).st_size < 16 << 20
        refused(f"bomb.{ending}.gz", f"bomb.{ending}.gz", f"line {first_bad(head, good)} is longer than")


def a_line_of_a_gibibyte_through_a_pipe_is_left_unread():
    write("small.csv", FORMATS["csv"][0], "1,a,0.5\n0,b,2\n" * 200)
    done = subprocess.run([TRAIN, "fit", "--data", at("small.csv"), "--out", at("small"), "--label", "y", *FIT],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read_end, write_end = os.pipe()
    sent = 0

    def send():
        nonlocal sent
        block = b"x" * (1 << 20)
        try:
            os.write(write_end, b"y,site,price\n1,a,0.5\n")
            while sent < GIB:
                sent += os.write(write_end, block)
        except BrokenPipeError:
            pass
        os.close(write_end)

    sender = threading.Thread(target=send)
    sender.start()
    model = done.stdout.split()[-1]
    assert model.endswith(".onnx"), done.stdout
    with os.fdopen(read_end) as stdin:
        words = ["predict", model, "--data", "-", "--output", at("p")]
        refused("the pipe", "standard input", "line 3 is longer than", words=words, stdin=stdin)
    sender.join()
    assert sent < 64 << 20, sent


def a_quote_that_never_closes_ends_at_the_limit():
    # Lines of a quoted field, each with quotes that leave it open: looked at again and again they would take hours.
    write("quote.csv", "y,site,price\n1,a,2\n1,\"", "x\"\"\n" * (6 << 20))
    refused("quote.csv", "quote.csv:3", "quoted line breaks is longer than")
    write("end.csv", "y,site,price\n1,a,2\n1,\"b,3\n0,c,1\n")
    refused("end.csv", "end.csv:3", "the quoted field does not end")


def junk_is_named_with_its_line():
    dice = random.Random(7)
    noise = bytes(dice.randrange(256) for _ in range(200000))
    for ending, head, good, _ in formats():
        write(f"junk.{ending}", head, good, noise)
        refused(f"junk.{ending}", f"junk.{ending}:{first_bad(head, good)}: ", "not UTF-8")
        write(f"elf.{ending}", b"\x7fELF\x02\x01\x01\0" + noise)
        refused(f"elf.{ending}", f"elf.{ending}:1: ")


def damaged_gzip_is_named_with_its_line():
    for ending, head, good, _ in formats():
        packed = gzip.compress((head + good * 400).encode())
        write(f"cut.{ending}.gz", packed[:len(packed) * 3 // 4])
        refused(f"cut.{ending}.gz", f"cut.{ending}.gz: line ", "gzip")
        bent = bytearray(packed)
        bent[len(bent) // 2] ^= 0x55
        write(f"bent.{ending}.gz", bytes(bent))
        refused(f"bent.{ending}.gz", f"bent.{ending}.gz")
        write(f"head.{ending}.gz", packed[:6])
        refused(f"head.{ending}.gz", f"head.{ending}.gz")


def missing_columns_are_named():
    bad = {"csv": ("1,a", "expected 3 columns, got 2"), "libsvm": ("1 7", "expected index:value"),
           "libffm": ("1 0:7", "expected field:index:value"), "ipinyou": ("b\t1\t1", "columns set apart by tabs")}
    for ending, head, good, _ in formats():
        line, message = bad[ending]
        write(f"short.{ending}", head, good, line, "\n", good)
        refused(f"short.{ending}", f"short.{ending}:{first_bad(head, good)}: ", message)
    write("nolabel.csv", "z,site,price\n1,a,2\n")
    refused("nolabel.csv", "nolabel.csv", "'y'")


def labels_other_than_0_and_1_are_named():
    for ending, head, good, _ in formats():
        if ending == "ipinyou":  # a click is a line of its own there
            continue
        for label in ("2", "0.5", "yes", "nan", "1e400") + (("-1",) if ending == "csv" else ()):
            write(f"label.{ending}", head, good, label + good.splitlines()[0][1:], "\n")
            refused(f"label.{ending}", f"label.{ending}:{first_bad(head, good)}: ", "expected 0 or 1")


def one_class_and_no_record_are_refused():
    for ending, head, good, _ in formats():
        lines = good.splitlines()
        for name, kept in (("ones", lines[:1]), ("zeros", lines[-1:])):
            if ending == "ipinyou" and name == "ones":
                kept = lines[:2]
            write(f"{name}.{ending}", head, "".join(x + "\n" for x in kept) * 200)
            refused(f"{name}.{ending}", f"{name}.{ending}: ", "training needs both classes")
        for name, content in (("empty", ""), ("head", head), ("blank", "\n\n \n")):
            write(f"{name}.{ending}", content)
            refused(f"{name}.{ending}", f"{name}.{ending}")
        write(f"empty.{ending}.gz", gzip.compress(b""))
        refused(f"empty.{ending}.gz", f"empty.{ending}.gz")


def lines_of_millions_of_entries_are_refused():
    tokens = {"libsvm": " 1:1", "libffm": " 0:1:1"}
    for ending, token in tokens.items():
        head, good, _ = FORMATS[ending]
        write(f"wide.{ending}", "".join(x + "\n" for x in good), "7", token * ((15 << 20) // len(token)), "\n")
        refused(f"wide.{ending}", f"wide.{ending}:3: more than 4096 entries")


def small_fit(*words, out="small", **how):
    """fit on a small csv with the columns y, site, price and w."""
    dice = random.Random(3)
    if not os.path.exists(at("few.csv")):
        write("few.csv", "y,site,price,w\n", "".join(f"{int(dice.random() < .3)},{dice.choice('abc')},{dice.random():.2f},"
                                                    f"{i % 2}\n" for i in range(400)))
    return subprocess.run([TRAIN, "fit", "--data", at("few.csv"), "--out", at(out), "--label", "y", *FIT, *words],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **how)


def fails(done, status, *expected):
    assert done.returncode == status, (done.args, done.returncode, done.stderr)
    for text in expected:
        assert text in done.stderr, (text, done.stderr)
    assert "Sanitizer" not in done.stderr, done.stderr
    print(f"    {done.stderr.strip().splitlines()[0].replace(work.name + '/', '')}")


def options_that_cannot_be_are_refused_before_the_work():
    for words, expected in [(["--name", ""], "--name ''"), (["--name", "a/b"], "--name 'a/b'"),
                            (["--name", "a\nb"], "--name"), (["--name", "n" * 250], "--name"),
                            (["--hash", "16777216"], "--hash"), (["--buckets", "5000"], "--buckets"),
                            (["--slots", "5000"], "--slots"), (["--max-line", "17179869184G"], "--max-line"),
                            (["--weight", "y"], "'y' is the label"), (["--drop", "y"], "'y' is the label"),
                            (["--numbers", "price,,w"], "'price,,w': a field's name is empty")]:
        fails(small_fit(*words, out="never"), 64, expected)
    assert not os.path.exists(at("never")) or os.listdir(at("never")) == [], os.listdir(at("never"))


def options_win_over_the_schema():
    schema = write("schema.json", '{"label": "w", "dense": ["price"]}')
    done = small_fit("--schema", schema, "--name", "won", out="won")
    assert done.returncode == 0, done.stderr
    features = open(at("won/won.features.json")).read()
    assert '"label":"y"' in features and '"name":"w","kind":"dropped"' in features, features
    fails(small_fit("--schema", write("twice.json", '{"label": "y", "fields": [{"name": "y", "kind": "number"}]}')), 65,
          "twice.json: fields[0].kind")


def numbers_and_weights_without_measure_are_named():
    text = "y,price,w\n" + "".join(f"{int(i % 3 == 0)},{'-' if i % 2 else ''}1e200,0\n" for i in range(400))
    write("huge.csv", text)
    words = ["fit", "--data", at("huge.csv"), "--out", at("out"), "--label", "y", *FIT]
    refused("huge.csv", "huge.csv: field 'price'", "too large", words=[*words, "--numbers", "price"])
    refused("huge.csv", "validation rows: 0 positive of 0 whose weight is above 0", words=[*words, "--weight", "w"])


def a_folder_takes_one_training_at_a_time():
    os.makedirs(at("taken"), exist_ok=True)
    fd = os.open(at("taken"), os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    fails(small_fit(out="taken"), 75, "taken: another process")
    assert os.listdir(at("taken")) == [], os.listdir(at("taken"))
    os.close(fd)
    assert small_fit(out="taken").returncode == 0


def nothing_that_is_read_is_written_over():
    done = small_fit("--name", "m", out="m")
    assert done.returncode == 0, done.stderr
    model, data = at("m/m.onnx"), at("few.csv")
    before = [open(path, "rb").read() for path in (model, data)]
    os.symlink("few.csv", at("link.csv"))
    for words in (["predict", "--output", data], ["predict", "--output", model], ["predict", "--output", at("link.csv")],
                  ["eval", "--json", data], ["eval", "--html", model]):
        done = subprocess.run([TRAIN, words[0], model, "--data", data, *words[1:]], capture_output=True, text=True)
        fails(done, 64, "would be written over")
    assert before == [open(path, "rb").read() for path in (model, data)]
    done = subprocess.run([TRAIN, "predict", model, "--data", data, "--output", at("no/such")], capture_output=True, text=True)
    fails(done, 74, "no/such")
    done = subprocess.run([TRAIN, "eval", model, "--data", data, "--no-by-field", "--json", "/dev/stdout"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout.splitlines()[-1])["rows"] == 400, done


def a_pipe_is_read_where_once_is_enough():
    small_fit("--name", "m", out="m")
    with open(at("few.csv")) as stdin:
        words = ["fit", "--data", "-", "--out", at("out"), "--label", "y", *FIT]
        done = subprocess.run([TRAIN, *words], stdin=stdin, capture_output=True, text=True)
    fails(done, 64, "standard input: it is read more than once")
    os.mkfifo(at("pipe.csv"))
    writer = threading.Thread(target=lambda: open(at("pipe.csv"), "wb").write(open(at("few.csv"), "rb").read()))
    writer.start()
    done = subprocess.run([TRAIN, "predict", at("m/m.onnx"), "--data", at("pipe.csv")], capture_output=True, text=True,
                          timeout=60)
    writer.join()
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 400, done


def a_full_disk_is_told():
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    fails(small_fit(out="full", preexec_fn=limit), 74, "full/all.rows.tmp: File too large")
    # The model is smaller than the checkpoint: it is written first.
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 10, 16 << 10))
    fails(small_fit("--dnn", "32,16", "--name", "m", out="tight", preexec_fn=limit), 74, "tight/checkpoint: File too large")
    assert "m.onnx" in os.listdir(at("tight")), os.listdir(at("tight"))


def names_of_fields_do_not_steer_a_terminal():
    write("names.csv", 'y,"line\nbreak",esc\x1b[2J\n', "".join(f"{int(i % 3 == 0)},{i % 2},{i % 5}\n" for i in range(400)))
    done = subprocess.run([TRAIN, "fit", "--data", at("names.csv"), "--out", at("names"), "--label", "y", "--name", "m", *FIT],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([TRAIN, "eval", at("names/m.onnx"), "--data", at("names.csv")], capture_output=True, text=True)
    assert "  line?break\n" in done.stdout and "  esc?[2J\n" in done.stdout, done


def a_killed_predict_leaves_no_file():
    small_fit("--name", "m", out="m")
    os.makedirs(at("tmp"))
    child = subprocess.Popen([TRAIN, "predict", at("m/m.onnx"), "--data", "-"], stdin=subprocess.PIPE,
                             stdout=subprocess.DEVNULL, bufsize=0, env={**os.environ, "TMPDIR": at("tmp")})
    child.stdin.write(b"y,site,price,w\n" + b"1,a,0.5,1\n" * 200_000)  # far more than a pipe holds: it is being read
    child.kill()
    child.wait()
    child.stdin.close()
    assert os.listdir(at("tmp")) == [], os.listdir(at("tmp"))


if __name__ == "__main__":
    run_cases(globals(), ["a_line_of_a_gibibyte_is_refused_plain", "a_line_of_a_gibibyte_is_refused_packed",
                          "a_line_of_a_gibibyte_through_a_pipe_is_left_unread",
                          "a_quote_that_never_closes_ends_at_the_limit", "junk_is_named_with_its_line",
                          "damaged_gzip_is_named_with_its_line", "missing_columns_are_named",
                          "labels_other_than_0_and_1_are_named", "one_class_and_no_record_are_refused",
                          "lines_of_millions_of_entries_are_refused",
                          "options_that_cannot_be_are_refused_before_the_work", "options_win_over_the_schema",
                          "numbers_and_weights_without_measure_are_named", "a_folder_takes_one_training_at_a_time",
                          "nothing_that_is_read_is_written_over", "a_pipe_is_read_where_once_is_enough",
                          "a_full_disk_is_told", "a_killed_predict_leaves_no_file",
                          "names_of_fields_do_not_steer_a_terminal"])
