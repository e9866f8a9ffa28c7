"""What hostile clients cost: one server, one kind of abuse at a time, beside it an honest client that asks 20 times a
second. For each: what the abusers got, how many connections were left, the server's CPU time and growth, and the
honest client's 99th percentile.

python -m bench.abuse                        all of it, some minutes
python -m bench.abuse slowloris zip          some of it
python -m bench.abuse --scale 0.1            with a tenth of the connections
python -m bench.abuse --costs                what each kB of an attacker's costs, see bench/costs.py
"""

from __future__ import annotations

import argparse
import os
import resource
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.certificate import self_signed
from bench.costs import rows, table
from bench.startup import cpu_of

ROOT = Path(__file__).resolve().parents[1]
APP = "bench.abuse_app:app"
PROBE = 0.05  # seconds between two requests of the honest client
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4)
REQUEST = b"\x82\x86\x84\x41\x01a"  # GET, http, /, authority a


class Server:
    """One worker in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "hypercorn", "-w", "0", "-b", f"127.0.0.1:{self.port}", "--backlog", "4096"]
        self.process = subprocess.Popen([*command, *arguments, APP], cwd=ROOT, stderr=subprocess.PIPE)
        self.lines = 0
        threading.Thread(target=self.count_lines, daemon=True).start()
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                break
            time.sleep(0.01)

    def count_lines(self) -> None:
        """How much it has to say."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines += b"Running on" not in line

    def memory(self) -> int:
        """Resident KiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.process.kill()
        self.process.wait()


class Honest:
    """A client that asks on one connection after the other, and how long it waited."""

    def __init__(self, server: Server, tls: bool) -> None:
        self.server = server
        self.context = None
        if tls:
            self.context = ssl.create_default_context()
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
        self.times: list[float] = []
        self.failures = 0
        self.most = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.ending.wait(PROBE):
            began = time.perf_counter()
            try:
                sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=10)
                if self.context is not None:
                    sock = self.context.wrap_socket(sock)
                with sock:
                    sock.sendall(GET)
                    if not sock.recv(1000).startswith(b"HTTP/1.1 200"):
                        self.failures += 1
            except OSError:
                self.failures += 1
            self.times.append(time.perf_counter() - began)
            self.most = max(self.most, self.server.memory())

    def __enter__(self) -> Honest:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return 1000 * (statistics.quantiles(self.times, n=100)[98] if len(self.times) > 2 else 0.0)


class Crowd:
    """Many connections that each send pieces now and then, and what became of them."""

    def __init__(self, server: Server, count: int, first: bytes, receive_buffer: int = 0) -> None:
        self.selector = selectors.DefaultSelector()
        self.open: dict[socket.socket, bytes] = {}
        self.got: Counter[str] = Counter()
        for number in range(count):
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
            sock.settimeout(10)
            try:
                sock.connect(("127.0.0.1", server.port))
                sock.sendall(first)
            except OSError as error:
                self.got[type(error).__name__] += 1
                sock.close()
                continue
            sock.setblocking(False)
            self.open[sock] = b""
            self.selector.register(sock, selectors.EVENT_READ)

    def send(self, piece: bytes) -> None:
        """Each sends a piece."""
        for sock in list(self.open):
            try:
                sock.send(piece)
            except BlockingIOError:
                pass
            except OSError as error:
                self.over(sock, type(error).__name__)

    def read(self, seconds: float) -> None:
        """Reads what comes, and notes the ends."""
        end = time.monotonic() + seconds
        while self.open and (left := end - time.monotonic()) > 0:
            for key, _ in self.selector.select(min(left, 0.2)):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    data = sock.recv(65536)
                except BlockingIOError:
                    continue
                except OSError as error:
                    self.over(sock, type(error).__name__)
                    continue
                if data:
                    self.open[sock] = (self.open[sock] + data)[-4096:]
                else:
                    self.over(sock, answer_in(self.open[sock]))

    def over(self, sock: socket.socket, how: str) -> None:
        if self.open.pop(sock, None) is not None:
            self.got[how] += 1
            self.selector.unregister(sock)
            sock.close()

    def close(self) -> None:
        for sock in list(self.open):
            self.over(sock, "still open")
        self.selector.close()


def answer_in(data: bytes) -> str:
    """The status, the GOAWAY or the close code at the end of what came."""
    if data.startswith(b"HTTP/1.1 101"):
        _, _, rest = data.partition(b"\r\n\r\n")
        at = rest.rfind(b"\x88")
        return f"close {int.from_bytes(rest[at + 2 : at + 4], 'big')}" if at >= 0 else "101, cut"
    if data.startswith(b"HTTP/1.1"):
        return data[9:12].decode()
    at = data.rfind(b"\x07\x00\x00\x00\x00\x00")  # GOAWAY on stream 0
    if at >= 0:
        return f"GOAWAY {int.from_bytes(data[at + 10 : at + 14], 'big'):#x}"
    return "cut" if data else "closed"


def pour(server: Server, first: bytes, piece: bytes, most: int) -> tuple[str, int]:
    """One client sends a piece again and again, and reads. What it got, and the bytes that it had sent then."""
    sent = 0
    got = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
        sock.sendall(first)
        sock.setblocking(False)
        waiting = b""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with suppress(BlockingIOError):
                try:
                    data = sock.recv(262144)
                except ConnectionError:
                    return answer_in(got) if got else "reset", sent
                if not data:
                    break
                got = (got + data)[-65536:] if not got.startswith(b"HTTP") else (got + data)[:8192]
            if sent < most:
                waiting = waiting or piece
                try:
                    count = sock.send(waiting)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    most = sent
                    continue
                sent += count
                waiting = waiting[count:]
            else:
                time.sleep(0.001)
        else:
            return "still open after 30 s,", sent
    return answer_in(got), sent


def masked(first: int, payload: bytes) -> bytes:
    """A client's WebSocket frame, with a mask of zeros."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else bytes((first, 0xFE)) + size.to_bytes(2, "big")
    if size > 65535:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def h2(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def zip_bomb() -> bytes:
    """A message of 64 MiB in 64 KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return masked(0xC2, data[:-4])


def crowd(server: Server, count: int, first: bytes, piece: bytes, every: float, rounds: int, **options: int) -> str:
    """Slow clients: a piece each, now and then."""
    made = Crowd(server, count, first, **options)
    began = time.monotonic()
    for _ in range(rounds):
        if not made.open:
            break
        made.read(every)
        made.send(piece)
    if made.open:
        made.read(5)
    took = time.monotonic() - began
    made.close()
    return f"{dict(made.got.most_common(3))} after {took:.0f} s"


def slow_readers(server: Server, count: int) -> str:
    """Ask for 10 MB each and read a byte a second."""
    made = Crowd(server, count, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", receive_buffer=4096)
    for _ in range(12):
        time.sleep(1)
        for sock in list(made.open):
            try:
                if not sock.recv(1):
                    made.over(sock, "closed")
            except BlockingIOError:
                pass
            except OSError as error:
                made.over(sock, type(error).__name__)
    made.close()
    return f"{dict(made.got)} after 12 s"


def handshakes(server: Server, count: int) -> str:
    """TLS handshakes that begin, and go no further."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return crowd(server, count, hello, b"", 2.0, 4)


def one(first: bytes, piece: bytes, most: int) -> Callable[[Server, float], str]:
    def run(server: Server, scale: float) -> str:
        got, sent = pour(server, first, piece, int(most))
        return f"{got} after {sent:,} bytes"

    return run


def many(count: int, first: bytes, piece: bytes, every: float, rounds: int) -> Callable[[Server, float], str]:
    return lambda server, scale: crowd(server, int(count * scale), first, piece, every, rounds)


POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PAIRS = b"".join(h2(1, 5, n, REQUEST) + h2(3, 0, n, b"\x00\x00\x00\x08") for n in range(1, 40001, 2))
CASES: dict[str, tuple[str, Callable[[Server, float], str]]] = {
    "slowloris": ("10,000 heads, a byte in 10 s", many(10000, GET[:20], b"a", 10.0, 3)),
    "slow-body": ("1,000 bodies, a byte in 5 s", many(1000, POST + b"Content-Length: 999\r\n\r\n", b"a", 5.0, 8)),
    "slow-read": ("1,000 clients of 10 MB, a byte a second", lambda s, scale: slow_readers(s, int(1000 * scale))),
    "idle": ("1,000 idle connections", many(1000, GET, b"", 2.0, 8)),
    "head": ("an endless head", one(b"GET / HTTP/1.1\r\nHost: a\r\n", b"x: " + b"y" * 1000 + b"\r\n", 100 << 20)),
    "fields": ("endless small fields", one(b"GET / HTTP/1.1\r\nHost: a\r\n", b"a: b\r\n" * 100, 100 << 20)),
    "chunks": ("chunks of one byte, 20 MB", one(CHUNKED, b"1\r\na\r\n" * 1000, 20 << 20)),
    "extensions": ("a chunk extension without end", one(CHUNKED, b"1;" + b"a" * 10000, 100 << 20)),
    "pipeline": ("100,000 requests in one go", one(b"", GET * 1000, len(GET) * 100000)),
    "fragments": ("empty fragments of a message", one(UPGRADE + masked(1, b"a"), masked(0, b"") * 1000, 20 << 20)),
    "message": ("an endless message", one(UPGRADE + masked(2, b"a"), masked(0, bytes(60000)), 1 << 30)),
    "zip": ("64 MiB in a message of 64 KiB", one(UPGRADE, zip_bomb(), 1)),
    "ping": ("HTTP/2: PING", one(START, h2(6, 0, 0, bytes(8)) * 500, 50 << 20)),
    "settings": ("HTTP/2: SETTINGS", one(START, h2(4, 0, 0) * 500, 50 << 20)),
    "reset": ("HTTP/2: rapid reset", one(START, PAIRS, len(PAIRS))),
    "continuation": ("HTTP/2: CONTINUATION", one(START + h2(1, 0, 1, REQUEST), h2(9, 0, 1, bytes(16384)), 100 << 20)),
    "empty": ("HTTP/2: empty DATA", one(START + h2(1, 4, 1, b"\x83" + REQUEST[1:]), h2(0, 0, 1) * 500, 50 << 20)),
    "window": ("HTTP/2: WINDOW_UPDATE by one", one(START, h2(8, 0, 0, b"\x00\x00\x00\x01") * 500, 50 << 20)),
    "priority": ("HTTP/2: PRIORITY", one(START, h2(2, 0, 1, bytes(5)) * 500, 50 << 20)),
    "handshake": ("1,000 TLS handshakes that stop", lambda s, scale: handshakes(s, int(1000 * scale))),
}


@contextmanager
def certificates() -> Iterator[list[str]]:
    """The arguments that TLS needs, with a limit on handshakes that the case can wait for."""
    with tempfile.TemporaryDirectory() as folder:
        certfile, keyfile = self_signed(Path(folder))
        yield ["--certfile", certfile, "--keyfile", keyfile, "--ssl-handshake-timeout", "5"]


def measure(name: str, scale: float, loop: str) -> None:
    """One row of the table."""
    title, run = CASES[name]
    tls = name == "handshake"
    with certificates() as arguments:
        server = Server("-k", loop, *(arguments if tls else []))
        try:
            with Honest(server, tls) as calm:
                time.sleep(2)
            before, cpu = server.memory(), cpu_of(server.process.pid)
            with Honest(server, tls) as honest:
                got = run(server, scale)
                while len(honest.times) < 20:
                    time.sleep(0.1)
            used, most = cpu_of(server.process.pid) - cpu, max(honest.most, before) - before
            time.sleep(1)
            after = server.memory() - before
            alive = "" if server.process.poll() is None else " THE SERVER ENDED"
            print(
                f"| {title} | {got}{alive} | {used:.2f} | {most / 1024:.1f} | {after / 1024:.1f} | "
                f"{calm.p99:.0f} | {honest.p99:.0f} | {honest.failures} | {server.lines} |",
                flush=True,
            )
        finally:
            server.end()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.abuse", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=", ".join(CASES))
    parser.add_argument("--costs", action="store_true", help="the cost of each kB sent, for the rows of bench/attacks")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of connections")
    parser.add_argument("--loop", default="asyncio", choices=["asyncio", "uvloop", "trio"])
    options = parser.parse_args()
    known = rows() if options.costs else CASES
    if unknown := [name for name in options.cases if name not in known]:
        parser.error(f"no such case: {', '.join(unknown)} (choose from {', '.join(known)})")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    import hypercorn

    print(
        f"{hypercorn.build()} build, {options.loop}, scale {options.scale:g}, load average {os.getloadavg()[0]:.1f}\n"
    )
    if options.costs:
        sys.exit(not table(options.cases, options.loop))
    print("| Abuse | It got | CPU s | Memory at most, MiB | Afterwards | p99 before, ms | p99 beside | Failed | Log |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.cases or CASES:
        measure(name, options.scale, options.loop)


if __name__ == "__main__":
    main()
