"""Plays a service manager for `onnxd serve`: listens on a NOTIFY_SOCKET, gives it sockets, counts its pings.

usage: service_manager_cases.py ONNXD
"""
import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback

ONNXD = sys.argv[1]
MODEL = "models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx"
ROW = '{"features":[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]}'
PATIENCE = 60  # seconds for what should come at once
PR_SET_CHILD_SUBREAPER = 36


class Manager:
    """Starts the server, hears what it says, and is the parent of whatever takes its place."""

    def __init__(self, *options, watchdog_us=None, sockets=(), listen_pid=None):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "notify")
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.heard.bind(path)
        self.heard.settimeout(PATIENCE)
        environment = dict(os.environ, NOTIFY_SOCKET=path)
        if watchdog_us is not None:
            environment["WATCHDOG_USEC"] = str(watchdog_us)
        if sockets:
            environment["LISTEN_FDS"] = str(len(sockets))
        fds = [s.fileno() for s in sockets]

        def child():  # as systemd leaves it: sockets from 3 on, told by our own number
            copies = [os.dup(fd) for fd in fds]
            high = [os.dup2(fd, 100 + i, inheritable=True) for i, fd in enumerate(copies)]
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i, inheritable=True)
                os.close(fd)

        command = [ONNXD, "serve", "--model", MODEL, "--port", "0", *options]
        shell = 'export LISTEN_PID=%s WATCHDOG_PID=$$; exec "$0" "$@"' % (listen_pid or "$$")
        if watchdog_us is None:
            shell = shell.replace(" WATCHDOG_PID=$$", "")
        self.process = subprocess.Popen(["/bin/sh", "-c", shell, *command], env=environment, preexec_fn=child,
                                        close_fds=False, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.main = self.process.pid
        self.others = set()

    def hear(self):
        """The next message that is no ping, and who sent it."""
        while True:
            data, ancillary, _, _ = self.heard.recvmsg(4096, 256)
            pid = int.from_bytes(ancillary[0][2][:4], sys.byteorder)
            self.others.add(pid)
            if data != b"WATCHDOG=1":
                return data.decode(), pid

    def hear_ping(self):
        while True:
            data, ancillary, _, _ = self.heard.recvmsg(4096, 256)
            if data == b"WATCHDOG=1":
                return int.from_bytes(ancillary[0][2][:4], sys.byteorder)

    def expect(self, text, pid=None):
        data, sender = self.hear()
        assert text in data, f"expected {text!r}, heard {data!r}"
        assert sender == (pid or self.main), f"{data!r} came from {sender}, not from {pid or self.main}"
        return data

    def ready(self):
        data = self.expect("READY=1\nSTATUS=listening on http://")
        self.port = int(data.rsplit(":", 1)[1])
        return self

    def end(self, pid):
        _, status = os.waitpid(pid, 0)
        if pid == self.process.pid:
            self.process.returncode = status
        return status

    def close(self):
        for pid in self.others | {self.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        self.process.returncode = 0
        self.process.stderr.close()
        self.heard.close()
        self.folder.cleanup()


def ask(port, path=None):
    if path is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    else:
        connection = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
    connection.request("POST", "/predict", ROW)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    assert answer.status == 200 and '"ctr":' in body, body


def listen(reuse=False, port=0):
    s = socket.socket()
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", port))
    s.listen(64)
    return s


@contextlib.contextmanager
def managed(*options, **more):
    manager = Manager(*options, **more)
    try:
        yield manager
    finally:
        manager.close()


def says_ready_reloading_and_stopping(options):
    with managed(*options) as m:
        m.ready()
        ask(m.port)
        os.kill(m.main, signal.SIGHUP)
        m.expect("RELOADING=1\nMONOTONIC_USEC=")
        m.expect("READY=1")
        os.kill(m.main, signal.SIGTERM)
        m.expect("STOPPING=1")
        assert m.end(m.main) == 0


def test_one_process_says_ready_reloading_and_stopping():
    says_ready_reloading_and_stopping(["--workers", "2"])


def test_several_processes_say_so_once():
    says_ready_reloading_and_stopping(["--workers", "1", "--processes", "2"])


def names_its_successor(options, watchdog_us=None):
    with managed(*options, watchdog_us=watchdog_us) as m:
        m.ready()
        for _ in range(2):  # a successor has one, too
            os.kill(m.main, signal.SIGUSR2)
            said = [m.hear(), m.hear()]  # READY by the new one and MAINPID by the old one, in either order
            by = {sender: data for data, sender in said}
            assert len(by) == 2 and by[m.main].startswith("MAINPID="), said
            successor = int(by[m.main].removeprefix("MAINPID="))
            assert "READY=1" in by[successor], said
            assert m.end(m.main) == 0
            ask(m.port)
            m.main = successor
        if watchdog_us:
            while m.hear_ping() != m.main:
                pass
        os.kill(m.main, signal.SIGTERM)
        m.expect("STOPPING=1")
        assert m.end(m.main) == 0


def test_a_replaced_program_names_its_successor():
    names_its_successor(["--workers", "2"], watchdog_us=400000)


def test_replaced_processes_name_their_successor():
    names_its_successor(["--workers", "1", "--processes", "2"], watchdog_us=400000)


def test_pings_come_while_the_workers_turn():
    with managed("--workers", "2", watchdog_us=400000) as m:
        m.ready()
        for _ in range(3):
            assert m.hear_ping() == m.main


def test_pings_need_every_process():
    with managed("--workers", "1", "--processes", "2", watchdog_us=400000) as m:
        m.ready()
        for _ in range(3):
            assert m.hear_ping() == m.main
        children = [int(p) for p in os.popen(f"pgrep -P {m.main}").read().split()]
        assert len(children) == 2, children
        os.kill(children[0], signal.SIGSTOP)
        m.heard.settimeout(2)  # five times as long as the manager would wait
        try:
            for _ in range(20):
                m.hear_ping()
            raise AssertionError("it pings on with a process that stands still")
        except socket.timeout:
            pass
        os.kill(children[0], signal.SIGCONT)
        m.heard.settimeout(PATIENCE)
        m.hear_ping()


def test_no_pings_unless_asked():
    with managed("--workers", "1") as m:
        m.ready()
        os.kill(m.main, signal.SIGTERM)
        m.expect("STOPPING=1")
        assert m.others == {m.main} and m.end(m.main) == 0


def test_one_given_socket_serves_all_workers():
    with listen() as s, managed("--workers", "3", sockets=[s]) as m:
        m.ready()
        assert m.port == s.getsockname()[1]
        for _ in range(30):
            ask(m.port)


def test_sockets_that_share_a_port_go_one_to_each():
    first = listen(reuse=True)
    port = first.getsockname()[1]
    sockets = [first] + [listen(reuse=True, port=port) for _ in range(3)]
    with managed("--workers", "2", "--processes", "2", sockets=sockets) as m:
        m.ready()
        assert m.port == port
        for s in sockets:
            s.close()
        for _ in range(40):  # a queue without a worker would keep its connections
            ask(port)


def test_given_sockets_survive_an_upgrade():
    with listen() as s, tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as u:
        path = os.path.join(folder, "socket")
        u.bind(path)
        u.listen(16)
        with managed("--workers", "2", sockets=[s, u]) as m:
            m.ready()
            ask(None, path)
            os.kill(m.main, signal.SIGUSR2)
            said = [m.hear(), m.hear()]
            assert m.end(m.main) == 0
            m.main = next(sender for data, sender in said if data.startswith("READY"))
            ask(m.port)
            ask(None, path)


def test_sockets_for_another_process_are_left_alone():
    with listen() as s, managed("--workers", "1", sockets=[s], listen_pid="1") as m:
        m.ready()
        assert m.port != s.getsockname()[1]
        ask(m.port)


def refused(text, **more):
    with managed("--workers", "1", **more) as m:
        said = m.process.stderr.read().decode()
        code = os.waitstatus_to_exitcode(m.end(m.main))
        assert code != 0 and text in said, f"exit status {code}: {said}"


def test_what_it_is_given_must_fit():
    with listen() as a, listen() as b, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as d:
        refused("got 2 for 1 workers", sockets=[a, b])
        refused("not a listening stream socket", sockets=[d])
    refused("WATCHDOG_USEC 'soon'", watchdog_us="soon")


def main():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # successors become our children
    failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        name = name.removeprefix("test_")
        print(f"[ RUN      ] {name}", flush=True)
        try:
            test()
            print(f"[       OK ] {name}", flush=True)
        except Exception:  # noqa: BLE001 - any fault fails the test
            traceback.print_exc()
            failed += 1
            print(f"[  FAILED  ] {name}\n[  FAILED  ] {name}", flush=True)
    return failed > 0


sys.exit(main())
