"""A download over HTTP/3 on loopback, or many small requests: what it costs the server, and what the server grows by.

    python -m bench.http3 [--size MIB] [--loop asyncio uvloop trio] [--upload] [--longest 1452] [--qlog]
    python -m bench.http3 --requests 20000 [--loop asyncio uvloop trio] [--qlog]

No two of the small requests have the same path, and no two responses the same fields (`varied_app.py`).
The server is a process of its own; the client (aioquic's) is in this one. A rate is bits of body for each second that a
core of the server was busy: the client's work, and waiting for it, do not count. Needs the extra `h3`, and openssl.
"""

from __future__ import annotations

import argparse
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted

from bench.certificate import self_signed
from bench.processes import ROOT, ServerError, cpu_seconds

MIB = 1 << 20
AT_ONCE = 32  # small requests under way on the connection
PATIENCE = 300.0  # seconds for one download


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Sends as many bytes as the path says, or reads what comes."""
    size = int(scope["path"].strip("/") or 0)
    if scope["method"] == "POST":
        got = 0
        while True:
            message = await receive()
            got += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        size = 0
    await send({"type": "http.response.start", "status": 200, "headers": []})
    piece = bytes(65536)
    for _ in range(size // 65536):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class RequestCost(NamedTuple):
    """What small requests cost."""

    count: int
    seconds: float
    cpu: float

    def __str__(self) -> str:
        each = self.cpu / self.count * 1e6
        return f"{each:6.1f} us of CPU a request ({self.count} requests in {self.seconds:.2f} s)"


class Cost(NamedTuple):
    """What one transfer cost."""

    size: int
    seconds: float
    cpu: float
    before: int  # KiB that the process had
    peak: int

    @property
    def rate(self) -> float:
        """Mbit for each second of a busy core."""
        return self.size * 8 / 1e6 / self.cpu

    def __str__(self) -> str:
        return (
            f"{self.rate:5.0f} Mbit/s a core ({self.cpu:.2f} s of CPU, {self.seconds:.2f} s), "
            f"memory {self.before / 1024:.1f} to {self.peak / 1024:.1f} MiB"
        )


class Download:
    """A client, driven by hand on one socket."""

    def __init__(self, port: int, window: int) -> None:
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="localhost", max_data=window, max_stream_data=window
        )
        configuration.verify_mode = 0
        configuration.congestion_control_algorithm = "cubic"
        configuration.max_datagram_size = 1452
        self.quic = QuicConnection(configuration=configuration)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setblocking(False)
        self.address = ("127.0.0.1", port)
        self.http: Any = None
        self.received = 0
        self.ended = 0  # responses
        self.closed = False
        self.quic.connect(self.address, time.monotonic())

    def turn(self) -> None:
        """Sends, waits a little, receives."""
        self.flush()
        timer = self.quic.get_timer()
        wait = 0.05 if timer is None else max(0.0, min(0.05, timer - time.monotonic()))
        select.select([self.sock], [], [], wait)
        now = time.monotonic()
        for _ in range(128):
            try:
                self.quic.receive_datagram(self.sock.recv(65536), self.address, now)
            except (BlockingIOError, ConnectionRefusedError):
                break
        timer = self.quic.get_timer()
        if timer is not None and timer <= now:
            self.quic.handle_timer(now)
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.http = H3Connection(self.quic)
            elif isinstance(event, ConnectionTerminated):
                self.closed = True
            if self.http is not None:
                for one in self.http.handle_event(event):
                    self.received += len(one.data) if isinstance(one, DataReceived) else 0
                    self.ended += one.stream_ended
        self.flush()

    def flush(self) -> None:
        for data, _ in self.quic.datagrams_to_send(time.monotonic()):
            try:
                self.sock.send(data)
            except OSError:
                pass  # lost, as datagrams are

    def connect(self) -> None:
        """The handshake. Raises ServerError."""
        end = time.monotonic() + 20
        while self.http is None:
            if self.closed or time.monotonic() > end:
                raise ServerError("no connection")
            self.turn()

    def run(self, size: int, upload: bool) -> None:
        """One request, to its end. Raises ServerError."""
        self.ended = self.received = 0
        if upload:
            self.send(b"POST", b"/0", bytes(size))
        else:
            self.send(b"GET", b"/%d" % size)
        end = time.monotonic() + PATIENCE
        while not self.ended:
            if self.closed or time.monotonic() > end:
                raise ServerError(f"ended after {self.received} bytes")
            self.turn()

    def send(self, method: bytes, path: bytes, body: bytes = b"") -> None:
        """Begins one request."""
        stream = self.quic.get_next_available_stream_id()
        fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path)]
        self.http.send_headers(stream, fields, end_stream=not body)
        if body:
            self.http.send_data(stream, body, True)

    def run_many(self, count: int) -> None:
        """So many small requests, AT_ONCE of them at a time. Raises ServerError."""
        self.ended = sent = 0
        end = time.monotonic() + PATIENCE
        while self.ended < count:
            while sent < count and sent - self.ended < AT_ONCE:
                self.send(b"GET", b"/items/" + secrets.token_hex(16).encode())
                sent += 1
            if self.closed or time.monotonic() > end:
                raise ServerError(f"ended after {self.ended} responses")
            self.turn()

    def close(self) -> None:
        self.quic.close()
        self.flush()
        self.sock.close()


def memory(pid: int, name: str) -> int:
    """A figure of the process in KiB: VmRSS or VmHWM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise ServerError("the server has ended")


@contextmanager
def serving(loop: str, app: str, *options: str, qlog: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A fresh server and its port. Raises ServerError."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = self_signed(Path(folder))
        probe = socket.socket()
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-m", "hypercorn", app, "--bind", f"127.0.0.1:{port}", "--http3", *options]
        command += ["--certfile", certificate, "--keyfile", key, "--worker-class", loop, "--workers", "0"]
        command += ["--config", str(ROOT / "bench" / "hypercorn.toml")]
        if qlog:
            command += ["--quic-qlog-dir", folder]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_for(port, server)
            yield server, port
        finally:
            server.terminate()
            server.wait()


def measure(loop: str, size: int, upload: bool, longest: int = 0, qlog: bool = False) -> Cost:
    """One transfer from a fresh server, after a small one. Raises ServerError."""
    options = ("--quic-max-datagram-size", str(longest)) if longest else ()
    with serving(loop, "bench.http3:app", *options, qlog=qlog) as (server, port):
        client = Download(port, size + MIB)
        client.connect()
        client.run(MIB, upload)
        before, cpu, began = memory(server.pid, "VmRSS"), cpu_seconds(server.pid), time.monotonic()
        client.run(size, upload)
        used = cpu_seconds(server.pid) - cpu
        peak = memory(server.pid, "VmHWM")
        seconds = time.monotonic() - began
        client.close()
        return Cost(size, seconds, used, before, peak)


def measure_requests(loop: str, count: int, qlog: bool = False) -> RequestCost:
    """Small requests to a fresh server, after some others. Raises ServerError."""
    with serving(loop, "bench.varied_app:app", qlog=qlog) as (server, port):
        client = Download(port, 1 << 30)
        client.connect()
        client.run_many(1000)
        cpu, began = cpu_seconds(server.pid), time.monotonic()
        client.run_many(count)
        cost = RequestCost(count, time.monotonic() - began, cpu_seconds(server.pid) - cpu)
        client.close()
        return cost


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server listens. Raises ServerError."""
    end = time.monotonic() + 20
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ServerError("the server did not start")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100, help="MiB")
    parser.add_argument("--loop", nargs="+", default=["asyncio", "uvloop", "trio"])
    parser.add_argument("--upload", action="store_true", help="the other way")
    parser.add_argument("--longest", type=int, default=0, help="octets of a datagram at the most")
    parser.add_argument("--requests", type=int, default=0, help="small ones, in place of a download")
    parser.add_argument("--qlog", action="store_true", help="with quic_qlog_dir")
    options = parser.parse_args()
    for loop in options.loop:
        cost: Cost | RequestCost
        if options.requests:
            cost = measure_requests(loop, options.requests, options.qlog)
        else:
            cost = measure(loop, options.size * MIB, options.upload, options.longest, options.qlog)
        print(f"{loop:8} {cost}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
