"""HTTP/2 in bulk: one stream at full speed, many that are reset, and what the server's memory does meanwhile.

    python -m bench.http2 download COMMAND...    1 GiB to the client on one stream without TLS
    python -m bench.http2 upload COMMAND...      the same the other way
    python -m bench.http2 resets COMMAND...      100,000 streams that the client resets after their head came

COMMAND starts a server of `bench.http2:app`, with PORT where the port belongs:

    python -m bench.http2 download hypercorn -k uvloop -b 127.0.0.1:PORT bench.http2:app

`resets` needs `--keep-alive-max-requests 1000000`, as a connection ends in peace after 1,000 requests by default.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import subprocess
import time
from typing import Any, NamedTuple

from bench.websockets import memory

GIB = 1 << 30
RESETS = 100_000
PIECE = bytes(262144)
WINDOW = (1 << 31) - 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET, POST = b"\x82\x86\x01\x01a", b"\x83\x86\x01\x01a"  # over http to the authority "a"


class Result(NamedTuple):
    """Seconds that it took, and MiB by which the server grew: at its largest, and at the end."""

    seconds: float
    peak: float
    left: float


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """/download sends GIB bytes; /endless a byte and no end; everything else counts the body that it gets."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/download":
        for _ in range(GIB // len(PIECE)):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body"})
    elif scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.body", "body": b"%d" % total})


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def path(value: bytes) -> bytes:
    return b"\x04" + bytes((len(value),)) + value


def begin(port: int) -> socket.socket:
    """A connection whose windows are wide open for what the server sends."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wide = (4).to_bytes(2, "big") + WINDOW.to_bytes(4, "big")
    more = (WINDOW - 65535).to_bytes(4, "big")
    sock.sendall(PREFACE + frame(4, 0, 0, wide) + frame(8, 0, 0, more))
    return sock


class Frames:
    """Reads the frames of a server."""

    def __init__(self) -> None:
        self.rest = b""

    def take(self, octets: bytes) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of those that are whole."""
        data, at, found = self.rest + octets, 0, []
        while len(data) - at >= 9:
            length = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at - 9 < length:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            found.append((data[at + 3], data[at + 4], stream, data[at + 9 : at + 9 + length]))
            at += 9 + length
        self.rest = data[at:]
        return found


def download(sock: socket.socket) -> None:
    """Reads GIB bytes and their frames."""
    sock.sendall(frame(1, 5, 1, GET + path(b"/download")))
    buffer = bytearray(1 << 20)
    left = GIB
    while left > 0:
        count = sock.recv_into(buffer)
        if not count:
            raise ConnectionError("the server ended the connection")
        left -= count


def upload(sock: socket.socket) -> None:
    """Sends GIB bytes as fast as the server gives credit."""
    sock.sendall(frame(1, 4, 1, POST + path(b"/upload")))
    frames, full = Frames(), frame(0, 0, 1, bytes(16384))
    credit, left = {0: 65535, 1: 65535}, GIB
    sock.setblocking(False)
    poll = selectors.DefaultSelector()
    poll.register(sock, selectors.EVENT_READ)
    out = memoryview(b"")
    while True:
        if not out:
            count = min(credit[0], credit[1], left) // 16384
            if count:
                out = memoryview(full * min(count, 16))
                sent = len(out) // len(full) * 16384
                left -= sent
                credit[0] -= sent
                credit[1] -= sent
                if not left:
                    out = memoryview(bytes(out) + frame(0, 1, 1))
        poll.modify(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0))
        ((_, what),) = poll.select(30) or ((None, 0),)
        if not what:
            raise TimeoutError("no credit for half a minute")
        if what & selectors.EVENT_READ:
            for kind, flags, stream, payload in frames.take(sock.recv(65536)):
                if kind == 8:
                    credit[stream] += int.from_bytes(payload, "big")
                elif kind in (3, 7):
                    raise ConnectionError(f"the server gave up: {kind} {payload!r}")
                elif kind == 0 and flags & 1:
                    if left:
                        raise ConnectionError("answered early")
                    return
        if what & selectors.EVENT_WRITE:
            try:
                out = out[sock.send(out) :]
            except BlockingIOError:
                pass


def resets(sock: socket.socket) -> None:
    """Opens streams and resets them when their heads have come, ten at a time."""
    frames, stream = Frames(), 1
    request = GET + path(b"/endless")
    while stream < 2 * RESETS:
        batch = range(stream, stream + 20, 2)
        sock.sendall(b"".join(frame(1, 5, one, request) for one in batch))
        heads = 0
        while heads < len(batch):
            octets = sock.recv(65536)
            if not octets:
                raise ConnectionError("the server ended the connection")
            for kind, _, _, payload in frames.take(octets):
                heads += kind == 0
                if kind in (3, 7):
                    raise ConnectionError(f"the server gave up: {kind} {payload!r}")
        sock.sendall(b"".join(frame(3, 0, one, (8).to_bytes(4, "big")) for one in batch))
        stream += 20


def measure(what: str, command: list[str]) -> Result:
    """Starts a server and does one thing to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    words = [word.replace("PORT", str(port)) for word in command]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    work = {"download": download, "upload": upload, "resets": resets}[what]
    try:
        wait(port, server)
        begin(port).close()
        before = memory(server.pid)
        worker = os.fork()
        if not worker:  # the client, so that this process can watch
            code = 1
            try:
                sock = begin(port)
                work(sock)
                code = 0
            finally:
                os._exit(code)
        began, peak = time.monotonic(), before
        while True:
            pid, status = os.waitpid(worker, os.WNOHANG)
            peak = max(peak, memory(server.pid))
            if pid:
                break
            time.sleep(0.01)
        seconds = time.monotonic() - began
        if status:
            raise RuntimeError(f"{what} did not come to its end")
        time.sleep(0.5)
        return Result(seconds, (peak - before) / (1 << 20), (memory(server.pid) - before) / (1 << 20))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server listens."""
    end = time.monotonic() + 20
    while time.monotonic() < end and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not start")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("download", "upload", "resets"))
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    result = measure(arguments.what, arguments.command)
    amount = f"{RESETS / result.seconds:,.0f} streams/s"
    if arguments.what != "resets":
        amount = f"{GIB / result.seconds / 1e6:,.0f} MB/s"
    print(f"{arguments.what}: {amount}, at most {result.peak:.1f} MiB more memory, {result.left:.1f} MiB in the end")


if __name__ == "__main__":
    main()
