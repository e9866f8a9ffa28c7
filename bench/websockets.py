"""WebSocket broadcast and memory, by the server's own CPU time and resident memory.

    python -m bench.websockets broadcast COMMAND...    one message of 1 KiB to 1,000 connections, over and over
    python -m bench.websockets idle COMMAND...         10,000 that say nothing; with --deflate before it, agreed on

COMMAND starts a server of `bench.websockets:app`, with PORT where the port belongs:

    python -m bench.websockets broadcast hypercorn -k uvloop -b 127.0.0.1:PORT bench.websockets:app
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import subprocess
import time
from typing import Any

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\1\2\3\4"
SIZE = 1024  # bytes of the message that is broadcast
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
members: list[Any] = []


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Sends what one member says to all."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    members.append(send)
    try:
        while (message := await receive())["type"] == "websocket.receive":
            for member in list(members):
                await member({"type": "websocket.send", "text": message["text"]})
    finally:
        members.remove(send)


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            for child in file.read().split():
                found += processes(int(child))
    return found


def cpu(pid: int) -> float:
    """Seconds of CPU that a server has used."""
    total = 0
    for each in processes(pid):
        with open(f"/proc/{each}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory(pid: int) -> int:
    """Bytes of resident memory."""
    total = 0
    for each in processes(pid):
        with open(f"/proc/{each}/statm") as file:
            total += int(file.read().split()[1]) * PAGE
    return total


def connect(port: int, deflate: bool = False) -> socket.socket:
    """An open WebSocket."""
    sock = socket.create_connection(("127.0.0.1", port))
    extra = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if deflate else ""
    sock.sendall(
        f"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert b" 101 " in head, head
    return sock


def broadcast(port: int, pid: int, count: int, rounds: int) -> str:
    """One message after the other, each to all."""
    sockets = [connect(port) for _ in range(count)]
    selector = selectors.DefaultSelector()
    for sock in sockets:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    masked = bytes(ord("a") ^ MASK[i & 3] for i in range(SIZE))
    message = b"\x81\xfe" + SIZE.to_bytes(2, "big") + MASK + masked
    before, began = cpu(pid), time.perf_counter()
    for _ in range(rounds):
        sockets[0].send(message)
        left = count * (SIZE + 4)
        while left:
            for key, _ in selector.select(10) or [(None, 0)]:
                assert key is not None, "the broadcast did not arrive"
                left -= len(key.fileobj.recv(65536))  # type: ignore[union-attr]
    used, took = cpu(pid) - before, time.perf_counter() - began
    delivered = count * rounds
    return f"{used / delivered * 1e6:.2f} us of CPU for each of {delivered} messages, {delivered / took:,.0f}/s"


def idle(port: int, pid: int, count: int, deflate: bool) -> str:
    """What a connection costs that says nothing."""
    first = [connect(port, deflate) for _ in range(200)]
    before = memory(pid)
    more = [connect(port, deflate) for _ in range(count)]
    time.sleep(0.5)
    return f"{(memory(pid) - before) / count / 1024:.1f} KiB for each of {len(more)} (over {len(first)})"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["broadcast", "idle"])
    parser.add_argument("--count", type=int, default=0, help="connections (default: 1,000, idle: 10,000)")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--deflate", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in options.command]
    server = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                connect(port).close()
                break
            except ConnectionError:
                time.sleep(0.1)
        if options.case == "broadcast":
            print(broadcast(port, server.pid, options.count or 1000, options.rounds))
        else:
            print(idle(port, server.pid, options.count or 10_000, options.deflate))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    main()
