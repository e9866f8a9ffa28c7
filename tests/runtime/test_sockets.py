"""What servers listen on, and what scopes say of it: unix sockets, IPv6, descriptors, several at once."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import socket
import struct
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.serving import bound_socket
from tests.support.live import Live, eventually, hello, respond
from tests.support.peer import Peer, request

from hypercorn.config import Config


async def tell_ends(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scope's `client`, `server` and `scheme`."""
    ends = [scope["client"], scope["server"], scope["scheme"]]
    await respond(send, json.dumps(ends).encode())


def test_tcp(serve_app: Any) -> None:
    live = serve_app(tell_ends, lifespan="off")
    with live.connect() as peer:
        assert json.loads(peer.get().body) == [["127.0.0.1", peer.port], ["127.0.0.1", live.port], "http"]


def test_port_zero_is_a_real_port(serve_app: Any) -> None:
    live = serve_app(hello)
    assert live.port > 0
    assert live.url == f"http://127.0.0.1:{live.port}"
    assert f"Running on http://127.0.0.1:{live.port} (CTRL + C to quit)" in live.log.texts()


def test_unix_socket(serve_app: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    live = serve_app(tell_ends, lifespan="off", bind=[f"unix:{path}"])
    assert live.url == f"http://unix:{path}"
    with Peer(path) as peer:
        assert json.loads(peer.get().body) == [None, [path, None], "http"]
        assert json.loads(peer.get().body) == [None, [path, None], "http"]
    live.stop()
    assert not os.path.exists(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has abstract sockets")
def test_abstract_socket(serve_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"hypercorn-{os.getpid()}-{tmp_path.name}"
    live = serve_app(tell_ends, lifespan="off", bind=[f"unix:@{name}"])
    assert live.url == f"http://unix:@{name}"
    assert f"Running on http://unix:@{name} (CTRL + C to quit)" in live.log.texts()
    with Peer(f"\0{name}") as peer:
        assert json.loads(peer.get().body) == [None, [f"@{name}", None], "http"]
    assert os.listdir(tmp_path) == []
    with pytest.raises(OSError, match=f"unix:@{name}") as caught:
        Config(bind=f"unix:@{name}").create_sockets()
    assert caught.value.errno == errno.EADDRINUSE
    live.stop()
    Config(bind=f"unix:@{name}").create_sockets().close()


def test_unix_socket_has_an_access_record(serve_app: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    live = serve_app(hello, bind=[f"unix:{path}"], access=True)
    with Peer(path) as peer:
        peer.get("/here")
    (line,) = live.access.texts()
    assert '"GET /here HTTP/1.1" 200 5' in line


@pytest.mark.skipif(sys.platform == "darwin", reason="needs a Linux limit")
def test_unix_socket_with_many_connections(serve_app: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    serve_app(hello, bind=[f"unix:{path}"])
    peers = [Peer(path) for _ in range(50)]
    for peer in peers:
        assert peer.get().body == b"hello"
    for peer in peers:
        peer.close()


def has_ipv6() -> bool:
    """True where the loopback has an IPv6 address."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
def test_ipv6(serve_app: Any) -> None:
    live = serve_app(tell_ends, lifespan="off", bind=["[::1]:0"])
    assert live.url == f"http://[::1]:{live.port}"
    with Peer(("::1", live.port)) as peer:
        assert json.loads(peer.get().body) == [["::1", peer.port], ["::1", live.port], "http"]


def test_inherited_descriptor(serve_app: Any) -> None:
    descriptor, port = bound_socket()
    live = serve_app(hello, bind=[f"fd://{descriptor}"])
    assert live.port == port
    with live.connect() as peer:
        assert peer.get().body == b"hello"


def test_several_binds(serve_app: Any, tmp_path: Path) -> None:
    live = serve_app(tell_ends, lifespan="off", bind=["127.0.0.1:0", "127.0.0.2:0", f"unix:{tmp_path / 's'}"])
    hosts = [address.removeprefix("http://").rsplit(":", 1) for address in live.addresses[:2]]
    for host, port in hosts:
        with Peer((host, int(port))) as peer:
            assert json.loads(peer.get().body)[1] == [host, int(port)]
    with Peer(str(tmp_path / "s")) as peer:
        assert peer.get().status == 200


def test_listeners_are_closed_before_connections_are_waited_for(backend: str) -> None:
    """LC-11: a client that connects while the server drains is refused, and does not wait for nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with Live(app, backend, lifespan="off", graceful_timeout=5.0) as live:
        port = live.port
        with live.connect() as peer:
            peer.send(request())
            eventually(lambda: live.on_loop(lambda: live.running._worker.deadlines.connections))
            live.running.shutdown()

            def refused() -> bool:
                try:
                    Peer(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    return True
                except ConnectionResetError:  # it was in the queue of the listener
                    return False
                return False

            eventually(refused, within=1)


def test_no_delay(serve_app: Any) -> None:
    """N5: answers of two writes do not wait for an acknowledgement."""
    options: list[int] = []
    live = serve_app(hello)
    with live.connect() as peer:
        peer.get()

        def look() -> None:
            for number in os.listdir("/proc/self/fd"):
                try:
                    sock = socket.socket(fileno=os.dup(int(number)))
                except OSError:
                    continue
                with sock:
                    try:
                        if sock.getpeername() == peer.sock.getsockname():
                            options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                    except OSError:
                        continue

        look()
        assert options == [1]


def connections_of(live: Live) -> int:
    """How many connections a server has."""
    return int(live.on_loop(lambda: len(live.running._worker.deadlines.connections)))


def test_connect_and_close(serve_app: Any) -> None:
    """H1-25, F-49: health pings without a byte leave no trace."""
    live = serve_app(hello, access=True, backlog=1000)
    address = ("127.0.0.1", live.port)
    with live.connect() as peer:
        for _ in range(20):
            for _ in range(50):
                socket.create_connection(address).close()
            assert peer.get().body == b"hello"  # so the queue of the listener never overflows
    eventually(lambda: connections_of(live) == 0)
    assert live.log.texts(logging.INFO) == [f"Running on {live.url} (CTRL + C to quit)"]
    assert len(live.access.texts()) == 20


def test_connect_and_reset(serve_app: Any) -> None:
    """Connections that are reset before they are accepted, or at once after it."""
    live = serve_app(hello, access=True, backlog=1000)
    linger = struct.pack("ii", 1, 0)
    with live.connect() as peer:
        for number in range(300):
            sock = socket.create_connection(("127.0.0.1", live.port))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.close()
            if number % 50 == 0:
                assert peer.get().body == b"hello"
    eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []


def test_a_connection_leaves_nothing_alive(serve_app: Any) -> None:
    """H1-06: after a reset no timer, scope or connection lives on, though keep-alive would be long."""
    scopes: list[weakref.ref[Any]] = []

    class Scoped:
        """Lives as long as the scope that it is put into."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        mark = Scoped()
        scope["state"]["mark"] = mark
        scopes.append(weakref.ref(mark))
        await respond(send)

    live = serve_app(app, lifespan="off", keep_alive_timeout=7200.0)
    for _ in range(50):
        peer = live.connect()
        peer.get()
        peer.reset()
    eventually(lambda: connections_of(live) == 0)

    def none_alive() -> bool:
        gc.collect()
        return not any(mark() for mark in scopes)

    eventually(none_alive, within=2)
    assert len(scopes) == 50
