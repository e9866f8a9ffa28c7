"""What operators do to a server and what befalls it, timed: kills, reloads through a proxy, recycling, the end.

python -m bench.faults                       all of it, about three minutes
python -m bench.faults kill drain            some of it
python -m bench.faults reload --reloads 20 --seconds 60
python -m bench.faults recycle --requests 1000000
"""

from __future__ import annotations

import argparse
import http.client
import os
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hypercorn.supervisor.client import ControlError, ask

APP = "bench.apps:app"
ROOT = Path(__file__).resolve().parents[1]


class Server:
    """The command with workers, on a port and a control socket of its own."""

    def __init__(self, *arguments: str, app: str = APP) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = tempfile.mkdtemp()
        self.control = f"{self.folder}/control"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hypercorn", "-b", f"127.0.0.1:{self.port}", "--control", self.control]
            + [*arguments, app],
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        self.await_answer()

    def await_answer(self) -> None:
        """Until a request is answered."""
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                if sock.recv(1000):
                    return
            time.sleep(0.001)

    def status(self) -> Any:
        """What the supervisor says."""
        while True:
            try:
                return ask(self.control, {"do": "status"})
            except ControlError:
                time.sleep(0.01)

    def pids(self, count: int, without: Set[int] = frozenset()) -> set[int]:
        """Waits for that many workers that are ready, and none of those `without`."""
        while True:
            workers = self.status()["workers"]
            ready = {one["pid"] for one in workers if one["state"] == "ready"}
            if len(ready) == count and ready.isdisjoint(without):
                return ready
            time.sleep(0.002)

    def holds(self) -> tuple[int, int]:
        """Descriptors and threads of the supervisor."""
        pid = self.process.pid
        return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))

    def end(self) -> int:
        """Ends it. Returns the exit code."""
        self.process.terminate()
        code = self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)
        return code


def is_closed(sock: socket.socket) -> bool:
    """True where the server has closed an idle connection."""
    return bool(select.select([sock], [], [], 0)[0])


class Load:
    """Requests at a steady rate, over connections that are kept."""

    def __init__(self, port: int, rate: float, clients: int = 10) -> None:
        self.port = port
        self.period = clients / rate
        self.done = 0
        self.failures: list[str] = []
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n / rate,), daemon=True) for n in range(clients)]

    def run(self, offset: float) -> None:
        connection = None
        due = time.monotonic() + offset
        while not self.ending.is_set():
            due += self.period
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if connection is not None and connection.sock is not None and is_closed(connection.sock):
                    connection.close()  # as every client with a pool looks before it asks
                    connection = None
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", "/")
                response = connection.getresponse()
                response.read()
                self.done += 1
                if response.status != 200:
                    self.failures.append(str(response.status))
                if response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection = None

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()


NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream app {{ server 127.0.0.1:{port}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{front};
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_next_upstream off; }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  retries 0
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend all
  bind 127.0.0.1:{front}
  default_backend app
backend app
  server one 127.0.0.1:{port}
"""
# By name: the configuration, and the command that takes it.
FRONTS = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-c", "{folder}/conf"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{folder}/conf"]),
}


@contextmanager
def proxy(name: str, port: int) -> Iterator[int]:
    """nginx or HAProxy before a server, with connections to it that are kept, and no retries. Gives its port."""
    conf, command = FRONTS[name]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        front = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "conf").write_text(conf.format(folder=folder, port=port, front=front))
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
        arguments = [part.format(folder=folder) for part in command]
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, env={**os.environ, "PATH": path})
        try:
            while process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", front)):
                    break
            yield front
        finally:
            process.terminate()
            process.wait()


# -- what is timed


def kill(options: argparse.Namespace) -> None:
    """kill -9 of a worker, five times, under load; from the third on the back-off is in the time."""
    server = Server("-w", "2")
    times = []
    with Load(server.port, 500) as load:
        for _ in range(5):
            workers = server.pids(2)
            victim = min(workers)
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            server.pids(2, {victim})
            times.append(time.monotonic() - began)
            time.sleep(1)
    print(
        f"kill -9: replaced in {statistics.median(times) * 1000:.0f} ms, at most {max(times) * 1000:.0f} ms; "
        f"{len(load.failures)} of {load.done} requests failed in 5 kills (10 clients)"
    )
    server.end()


def reload(options: argparse.Namespace) -> None:
    """SIGHUP again and again, under a steady load through a proxy."""
    server = Server("-w", "2")
    pids, held = server.pids(2), server.holds()
    with proxy(options.front, server.port) as front, Load(front, 500) as load:
        for _ in range(options.reloads):
            began = time.monotonic()
            server.process.send_signal(signal.SIGHUP)
            pids = server.pids(2, pids)
            time.sleep(max(0.0, options.seconds / options.reloads - (time.monotonic() - began)))
    time.sleep(2)
    print(
        f"reload behind {options.front}: {options.reloads} SIGHUPs in {options.seconds} s, every worker new each time: "
        f"{len(load.failures)} of {load.done} requests failed {load.failures[:2] or ''}; "
        f"descriptors and threads of the supervisor {held} before, {server.holds()} after"
    )
    server.end()


def recycle(options: argparse.Namespace) -> None:
    """`max_requests` at full load: wrk's socket errors."""
    server = Server("-w", "2", "--max-requests", "1000", "--max-requests-jitter", "100")
    errors: list[str] = []
    answered = 0
    began = time.monotonic()
    while answered < options.requests:
        command = ["wrk", "-t2", "-c32", "-d10s", f"http://127.0.0.1:{server.port}/"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for line in done.stdout.splitlines():
            if "requests in" in line:
                answered += int(line.split()[0])
            if "errors" in line or "Non-2xx" in line:
                errors.append(line.strip())
    generations = server.status()["workers"]
    rate = answered / (time.monotonic() - began)
    print(f"recycle: max_requests 1000, {answered:,} requests at {rate:,.0f}/s: {errors or '0 socket errors'}")
    print(f"         workers now: {[one['pid'] for one in generations]}")
    server.end()


def drain(options: argparse.Namespace) -> None:
    """SIGTERM with everything open: when it refuses, when it ends, and how."""
    from tests.support.http2 import GET, START, headers
    from tests.support.peer import request
    from tests.support.websocket import upgrade

    grace = 3.0
    server = Server("-w", "2", "--graceful-timeout", str(grace), app="tests.supervisor.apps:app")
    peers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
    target = [(name, b"/slow/60" if name == b":path" else value) for name, value in GET]
    sent = (
        request(),
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        request("/stream"),
        request("/slow/60"),
        upgrade("/"),
        START + headers(1, target) + headers(3, target) + headers(5, target),
    )
    for peer, data in zip(peers, sent, strict=True):
        peer.sendall(data)
    time.sleep(1)
    began = time.monotonic()
    server.process.terminate()
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port)).close()
        except OSError:
            break
        time.sleep(0.001)
    refused = time.monotonic() - began
    code = server.process.wait(60)
    took = time.monotonic() - began
    print(
        f"drain: new connections refused after {refused * 1000:.1f} ms, ended after {took:.2f} s "
        f"(graceful_timeout {grace:g}) with code {code}"
    )


def blocked(options: argparse.Namespace) -> None:
    """Four workers, one of them blocked: 200 new connections."""
    server = Server("-w", "4", "--backlog", "256", app="tests.supervisor.apps:app")
    server.pids(4)
    with socket.create_connection(("127.0.0.1", server.port)) as stuck:
        stuck.sendall(b"GET /block/5 HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        times = []
        for _ in range(200):
            began = time.monotonic()
            server.await_answer()
            times.append(time.monotonic() - began)
    print(f"blocked: one of four workers for 5 s; 200 connections answered within {max(times) * 1000:.0f} ms each")
    server.end()


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "kill": kill,
    "drain": drain,
    "blocked": blocked,
    "reload": reload,
    "recycle": recycle,
}


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    parser.add_argument("--front", choices=FRONTS, default="nginx", help="the proxy of reload")
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=200_000)
    options = parser.parse_args()
    import hypercorn

    python, load = sys.version.split()[0], os.getloadavg()[0]
    print(f"{hypercorn.build()} build, Python {python}, load average {load:.1f}", flush=True)
    for name in options.parts or PARTS:
        PARTS[name](options)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
