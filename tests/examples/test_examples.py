"""The examples do what they say: over sockets on every loop, and as programs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc as grpc_library
import pytest
from tests.process.command import Command, environment
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import Live, eventually
from tests.support.peer import request
from tests.support.websocket import LiveWebSocket

__all__ = ("certificates",)  # a fixture

hello = pytest.importorskip("examples.hello", reason="the examples are not beside the tests")
grpc = pytest.importorskip("examples.grpc")
broadcast = pytest.importorskip("examples.broadcast")
poll = pytest.importorskip("examples.poll")
slow = pytest.importorskip("examples.slow")
timing = pytest.importorskip("examples.timing")
upload = pytest.importorskip("examples.upload")

Serve = Callable[..., Live]


@pytest.fixture
def driver() -> str:
    """Whatever there is will do: who moves the bytes is tested elsewhere."""
    return "auto"


def test_hello(serve_app: Serve) -> None:
    live = serve_app(hello.app)
    with live.connect() as peer:
        assert b"Hello from Hypercorn" in peer.get().body
        assert peer.get("/nowhere").status == 404
    assert live.errors() == []


def test_broadcast(serve_app: Serve) -> None:
    live = serve_app(broadcast.app, graceful_timeout=0.1, websocket_broadcast=True)
    with live.connect() as peer:
        assert b"Next price" in peer.get().body
        windows = [LiveWebSocket(live.connect(), target="/prices") for _ in range(3)]
        assert [ws.status for ws in windows] == [101] * 3

        def told() -> bytes:
            peer.send(request("/next", method="POST"))
            return bytes(peer.response().body)

        assert eventually(lambda: told() == b"sent to 3 windows\n")
        for ws in windows:
            assert 90 <= json.loads(ws.read().payload)["price"] <= 110
    assert live.errors() == []


def test_poll(serve_app: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "poll", poll.Poll())
    live = serve_app(poll.app, graceful_timeout=0.1)
    with live.connect() as first, live.connect() as second, live.connect() as voter:
        first.send(request("/events"))
        first.until(b'"windows": 1}')
        second.send(request("/events"))
        second.until(b'"windows": 2}')
        first.until(b'"windows": 2}')
        for choice, status in (("trio", 204), ("trio", 204), ("none", 404)):
            voter.send(request(f"/vote/{choice}", method="POST"))
            assert voter.response().status == status
        first.until(b'"trio": 2}')
        second.until(b'"trio": 2}')
        second.close()
        first.until(b'"windows": 1}')
        assert poll.poll.votes == {"asyncio": 0, "uvloop": 0, "trio": 2}
    eventually(lambda: not poll.poll.windows)
    assert live.errors() == []


def test_upload(serve_app: Serve) -> None:
    live = serve_app(upload.app)
    data = bytes(range(256)) * 4096
    with live.connect() as peer:
        peer.send(request("/files/a%20b", method="PUT", body=data))
        taken = json.loads(peer.response().body)
    assert taken == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "name": "a b"}
    assert live.errors() == []


def test_upload_that_is_too_large(serve_app: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "LARGEST", 1000)
    with serve_app(upload.app).connect() as peer:
        peer.send(request("/files/x", method="PUT", body=bytes(1001)))
        assert peer.response().status == 413


def test_timing(serve_app: Serve) -> None:
    """The server's times follow the application's, and are no shorter than what happened in between."""
    live = serve_app(timing.app, server_timing="on")
    with live.connect() as peer:
        given = [value for name, value in peer.get().headers if name.lower() == "server-timing"]
    times = {name: float(value) for name, value in re.findall(r"(\w+);dur=([\d.]+)", ", ".join(given))}
    assert list(times) == ["db", "queue", "app"]
    assert times["app"] >= times["db"] - 0.1 >= 19
    assert live.errors() == []


def test_grpc(serve_app: Serve) -> None:
    live = serve_app(grpc.app)
    with grpc_library.insecure_channel(f"127.0.0.1:{live.port}") as channel:
        text = {"request_serializer": str.encode, "response_deserializer": bytes.decode}
        loud = channel.unary_unary("/Words/Shout", **text)
        assert loud("hello there", timeout=20) == "HELLO THERE"
        assert loud("x" * 1_000_000, timeout=20) == "X" * 1_000_000
        words = channel.unary_stream("/Words/Split", **text)
        assert list(words("one two  three", timeout=20)) == ["one", "two", "three"]
        joined = channel.stream_unary("/Words/Join", **text)
        assert joined(iter(["a", "", "c"]), timeout=20) == "a  c"
        with pytest.raises(grpc_library.RpcError) as failed:
            channel.unary_unary("/Words/None", **text)("", timeout=20)
        assert failed.value.code() == grpc_library.StatusCode.UNIMPLEMENTED
        raw = channel.unary_unary("/Words/Shout", response_deserializer=bytes.decode)
        with pytest.raises(grpc_library.RpcError) as failed:
            raw(b"\xff", timeout=20)
        assert failed.value.code() == grpc_library.StatusCode.INVALID_ARGUMENT
    assert live.errors() == []


def test_grpc_messages_that_are_not_whole() -> None:
    async def received(*parts: bytes) -> list[str]:
        left = list(parts)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        call = grpc.Call(receive, None)
        texts = []
        while (text := await call.next()) is not None:
            texts.append(text)
        return texts

    whole = grpc.framed("one") + grpc.framed("")
    assert asyncio.run(received(*(whole[at : at + 1] for at in range(len(whole))))) == ["one", ""]
    for wrong in (whole[:-1], b"\1" + whole[1:], b"\0\xff\xff\xff\xff"):
        with pytest.raises(grpc.Refused):
            asyncio.run(received(wrong))


@pytest.mark.parametrize("program", ["embed_asyncio", "embed_asyncio uvloop", "embed_trio"])
@pytest.mark.skipif(sys.platform == "win32", reason="ends by SIGINT")
def test_embedding(program: str) -> None:
    """The server tells what the other work does beside it, and one Ctrl-C ends both."""
    module, *loop = program.split()
    with Command("0", *loop, program=("-m", f"examples.{module}")) as command, command.connect() as peer:
        body = peer.get().body
        assert re.fullmatch(rb"\d+ ticks\n", body)
        eventually(lambda: peer.get().body != body)
        assert command.end(signal.SIGINT) == 0
        assert re.search(r"ended after \d+ ticks", "".join(command.output))
        assert command.complaint == ""


def test_client_limits() -> None:
    """The settings are those of the class beside the application."""
    settings = ("--config", "python:examples.client_limits.Settings")
    with Command("-b", "127.0.0.1:0", *settings, "examples.client_limits:app") as command, command.connect() as peer:
        answers = [peer.get() for _ in range(5)]
        assert [(one.status, one.body) for one in answers] == [(200, b"request %d\n" % at) for at in range(1, 6)]
        refused = peer.get()
        assert refused.status == 429
        assert refused.header("retry-after") == "1"
        assert peer.get("/webhooks").status == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no control socket")
def test_slow(tmp_path: Path) -> None:
    """The commands of its docstring, and what they show."""

    def ctl(*arguments: str) -> str:
        program = (sys.executable, "-m", "hypercorn", "ctl", *arguments, "--socket", str(tmp_path / "control"))
        return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60, env=environment()).stdout

    code = "import examples.slow; examples.slow.SECONDS = 2.0; from examples.slow import app"
    (tmp_path / "quick.py").write_text(code)
    options = ("-b", "127.0.0.1:0", "--control", str(tmp_path / "control"), "--slow-request", "1s")
    with Command(*options, "quick:app", cwd=tmp_path) as command, command.connect() as peer:
        row = re.compile(r"in the application +GET /report +\S*slow\.py:\d+ in total")
        for _ in range(5):  # on a busy machine the command may start later than the request ends
            peer.send(request("/report"))
            found = row.search(ctl("requests"))
            assert peer.response().body == b"42\n"
            if found:
                break
        assert found
        peer.send(request("/export"))
        assert len(peer.response().body) == slow.BLOCKS * len(slow.BLOCK)
        peer.send(request("/nothing"))
        assert peer.response().status == 404
        listed = ctl("slow")
        assert "GET /report" in listed
        assert "GET /nothing" not in listed


@pytest.mark.skipif(sys.platform == "win32", reason="ends by SIGINT")
def test_read_qlog(tmp_path: Path, certificates: Certificates) -> None:
    """Two connections are two lines, with what both sides sent."""
    pytest.importorskip("aioquic", reason="the extra h3 is not installed")
    from tests.support.http3 import LiveClient
    from tests.support.http3 import request as request_h3

    certificate = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
    folder = tmp_path / "qlog"
    folder.mkdir()
    options = ("--quic-bind", "127.0.0.1:0", "-b", "127.0.0.1:0", "--quic-qlog-dir", str(folder))
    with Command(*options, *certificate, "examples.hello:app") as command:
        port = int(command.await_line(re.compile(r"127\.0\.0\.1:(\d+) \(QUIC\)"))[1])
        for _ in range(2):
            with LiveClient(port) as client:
                assert client.ask(request_h3()).status == 200
        assert command.end(signal.SIGINT) == 0
    program = (sys.executable, "-m", "examples.read_qlog", str(folder))
    shown = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60, env=environment()).stdout
    head, *lines = (line.split() for line in shown.splitlines())
    assert head == ["CONNECTION", "RECEIVED", "SENT", "LOST", "RTT", "MS", "SECONDS"]
    assert len(lines) == 2
    for name, received, sent, lost, trip, seconds in lines:
        assert (folder / f"{name}.sqlog").exists()
        assert min(int(received), int(sent)) >= 3
        assert min(int(lost), float(seconds)) >= 0
        assert 0 < float(trip) < 10_000


@pytest.mark.skipif(sys.platform == "win32", reason="ends by SIGINT")
def test_dev_tls(tmp_path: Path) -> None:
    with Command("0", program=("-m", "examples.dev_tls"), XDG_DATA_HOME=str(tmp_path)) as command:
        command.address()
        client = ssl.create_default_context(cafile=str(tmp_path / "hypercorn" / "dev-tls" / "ca.pem"))
        with command.connect(tls=client) as peer:
            assert peer.get().body == b"https, HTTP/1.1\n"
        assert command.end(signal.SIGINT) == 0
        assert command.complaint == ""
