"""A trace of a running server: what it records, that nothing changes for those who are traced, and how it ends."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.answers import pause
from tests.support.authority import Authority, new_authority
from tests.support.live import BACKENDS, eventually

from hypercorn.__main__ import main
from hypercorn.cli.trace.decode import IN, OUT, ConnectionDecoder
from hypercorn.cli.trace.file import TraceFile
from hypercorn.cli.trace.show import lines_of
from hypercorn.runtime import trace as tracing
from hypercorn.supervisor.answers import answer_to, connections_of
from hypercorn.supervisor.messages import EndTrace, FetchTrace, StartTrace
from hypercorn.supervisor.trace import Recording, TraceRefused
from hypercorn.testing import TestServer
from hypercorn.testing.clients import HTTP1Client, HTTP2Client, WebSocketClient

__all__ = ("new_authority",)
pytestmark = pytest.mark.live
LARGE = 200_000  # bytes; more than a window of HTTP/2


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/fails":
        raise ValueError("as asked")
    if scope["path"] == "/slow":
        await pause(0.3)
    headers = [(b"set-cookie", b"id=secret"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Traced:
    """A server whose loop is asked as the supervisor asks it."""

    def __init__(self, server: TestServer) -> None:
        self.server = server
        assert server.running is not None
        self.running = server.running
        self.worker: Any = server.running._worker

    def on_loop(self, function: Callable[[], Any]) -> Any:
        answers: queue.Queue[Any] = queue.Queue()
        self.running._call_threadsafe(lambda: answers.put(function()))
        return answers.get(timeout=10)

    def start(self, *clients: str, seconds: float = 60.0) -> Any:
        return self.on_loop(lambda: answer_to(self.worker, StartTrace(1, list(clients), seconds)))[0]["refused"]

    def fetch(self) -> Any:
        return self.on_loop(lambda: answer_to(self.worker, FetchTrace(2)))[0]

    def end(self) -> Any:
        return self.on_loop(lambda: answer_to(self.worker, EndTrace(3)))[0]

    def events(self, path: Path, secrets: bool = False) -> list[dict[str, Any]]:
        """All that is recorded, by way of a file."""
        file = TraceFile(str(path), {"started": time.time()}, 1 << 24, secrets)
        while True:
            fetched = self.fetch()
            for record in fetched["records"]:
                file.take(7, record)
            if not fetched["records"]:
                break
        file.close("test")
        return [json.loads(line) for line in path.read_text().splitlines()[1:-1]]


@contextlib.contextmanager
def serving(backend: Any, **options: Any) -> Iterator[Traced]:
    server = TestServer(
        app,
        backend=backend,
        lifespan="off",
        log_level="CRITICAL",
        validate_app=False,
        **{"limit_connections": 100, **options},
    )
    with server:
        yield Traced(server)


def settled(traced: Traced) -> bool:
    """Nothing is left of connections, and each was counted once."""
    return bool(traced.on_loop(lambda: not traced.worker.deadlines.connections and traced.worker.operations.open == 0))


def whats(events: list[dict[str, Any]], *names: str) -> list[str]:
    return [one["what"] for one in events if one["what"] in names]


@pytest.mark.parametrize("backend", BACKENDS)
def test_http1(backend: Any, tmp_path: Path) -> None:
    with serving(backend) as traced:
        assert traced.start("127.0.0.0/8") is None
        with HTTP1Client(traced.server.url) as peer:
            response = peer.request("PUT", "/a?b", [("Cookie", "id=secret"), ("Authorization", "Basic xyz")], b"hello")
            assert (response.status, response.body, response.header("set-cookie")) == (200, b"hello", "id=secret")
            body = bytes(range(256)) * (LARGE // 256)
            assert peer.request("PUT", "/large", body=body).body == body
            assert len(traced.on_loop(lambda: connections_of(traced.worker))) == 1
        assert eventually(lambda: settled(traced))
        events = traced.events(tmp_path / "trace")
        assert "secret" not in (tmp_path / "trace").read_text()
        assert "xyz" not in (tmp_path / "trace").read_text()
        assert stat.S_IMODE((tmp_path / "trace").stat().st_mode) == 0o600
        assert {one["connection"] for one in events} == {1}
        request, response_head = (
            next(one for one in events if one["what"] == name) for name in ("request", "response")
        )
        assert (request["way"], request["method"], request["target"]) == ("in", "PUT", "/a?b")
        assert ["cookie", "[redacted, 9 characters]"] in request["headers"]
        assert response_head["status"] == 200
        # What a call has done at its end is recorded after what it wrote.
        assert whats(events, "open", "request", "call", "returned", "lost") == [
            *("open", "request", "call", "returned", "request", "call", "returned", "lost")
        ]
        for way in (IN, OUT):
            pieces = [one["size"] for one in events if one["what"] == "body" and one["way"] == way]
            assert sum(pieces) == len(body) + 5
        sent = [one for one in events if one["what"] == "send"]
        assert [one["type"] for one in sent] == ["http.response.start", "http.response.body"] * 2
        assert sent[1]["body_size"] == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_http2_and_websockets_over_tls(backend: Any, tmp_path: Path, authority: Authority) -> None:
    with serving(backend, **authority.issue("localhost")) as traced:
        assert traced.start("127.0.0.1") is None
        url = traced.server.url.replace("127.0.0.1", "localhost")
        with HTTP2Client(url, tls=authority.client()) as peer:
            body = bytes(LARGE)
            streams = [peer.start("PUT", f"/{number}", [("cookie", "id=secret")], body) for number in range(3)]
            assert [peer.response(stream).body for stream in streams] == [body] * 3
            assert peer.request("GET", "/fails").status == 500
        with WebSocketClient(
            url.replace("https", "wss"), "/chat", tls=authority.client(), compress=True
        ) as socket_client:
            for message in ("text", bytes(LARGE)):
                socket_client.send(message)
                assert socket_client.receive() == message
        assert eventually(lambda: settled(traced))
        events = traced.events(tmp_path / "trace")
        assert "secret" not in (tmp_path / "trace").read_text()
        opened = [one for one in events if one["what"] == "open"]
        assert [(one["tls"], one["alpn"]) for one in opened] == [("TLSv1.3", "h2"), ("TLSv1.3", "http/1.1")]
        frames = [one for one in events if one["what"] == "frame" and one["protocol"] == "HTTP/2"]
        heads = [dict(one["headers"]) for one in frames if one.get("headers") and one["way"] == "in"]
        assert [one[":path"] for one in heads] == ["/0", "/1", "/2", "/fails"]
        data = [one["size"] for one in frames if one["frame"] == "Data" and one["way"] == "out"]
        assert sum(data) >= 3 * LARGE
        raised = [one for one in events if one["what"] == "raised"]
        assert [one["error"] for one in raised] == ["ValueError('as asked')"]
        messages = [one for one in events if one["what"] == "frame" and one["protocol"] == "WebSocket"]
        assert [(one["way"], one["frame"]) for one in messages if one["frame"] != "CONTINUATION"] == [
            *((IN, "TEXT"), (OUT, "TEXT"), (IN, "BINARY"), (OUT, "BINARY"), (IN, "CLOSE"), (OUT, "CLOSE")),
        ]
        assert not [one for one in events if one["what"] == "not understood"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_whom_it_is_about_and_only_for_its_time(backend: Any, tmp_path: Path) -> None:
    with serving(backend) as traced:
        plain = traced.worker.context.app
        with HTTP1Client(traced.server.url) as before:
            before.request("GET", "/")
            assert traced.start("192.0.2.0/24") is None
            with HTTP1Client(traced.server.url) as other:
                assert other.request("GET", "/").status == 200
            assert traced.start("*") == "another trace runs"
            assert traced.end() == {"records": [], "ended": "as asked"}
            assert traced.worker.context.app is plain
            assert traced.start("*", seconds=0.5) is None
            assert before.request("GET", "/before").status == 200  # its messages are recorded, and not its bytes
            with HTTP1Client(traced.server.url) as traced_one:
                assert traced_one.request("GET", "/traced").status == 200
                assert eventually(lambda: traced.worker.trace.ended == "time")
                assert traced.worker.context.app is plain
                assert traced_one.request("GET", "/after").status == 200
        events = traced.events(tmp_path / "trace")
        assert [one["target"] for one in events if one["what"] == "request"] == ["/traced"]
        calls = [(one["connection"], one["path"]) for one in events if one["what"] == "call"]
        assert calls == [(None, "/before"), (1, "/traced")]
        assert eventually(lambda: settled(traced))
        assert traced.start("nobody") == "'nobody' does not appear to be an IPv4 or IPv6 network"


@pytest.mark.parametrize("backend", BACKENDS)
def test_broken_requests_and_clients_that_leave(backend: Any, tmp_path: Path) -> None:
    with serving(backend) as traced:
        traced.start("*")
        with socket.create_connection(("127.0.0.1", traced.server.port)) as sock:
            sock.sendall(b"BROKEN secret\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", traced.server.port)) as sock:
            sock.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        assert eventually(lambda: settled(traced))
        events = traced.events(tmp_path / "trace")
        assert "secret" not in (tmp_path / "trace").read_text()
        first = [one for one in events if one["connection"] == 1]
        assert [one["what"] for one in first if one.get("way") == "in"] == ["not understood", "bytes"]
        assert [one["status"] for one in first if one["what"] == "response"] == [400]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MAX_WAITING_BYTES", 100_000)
    with serving("asyncio") as traced:
        traced.start("*")
        with HTTP1Client(traced.server.url) as peer:
            assert peer.request("PUT", "/", body=bytes(LARGE)).status == 200
            assert peer.request("GET", "/").status == 200
        trace = traced.worker.trace
        assert trace.ended == "too much at a time"
        assert trace.waiting < 100_000 + 2 * tracing.PIECE_BYTES
        assert traced.fetch()["records"]
        assert eventually(lambda: settled(traced))


def test_what_nobody_fetches_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "UNFETCHED_SECONDS", 0.1)
    with serving("asyncio") as traced:
        traced.start("*")
        assert eventually(lambda: traced.worker.trace.ended == "nobody fetches it")


def test_answers_are_of_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "MAX_ANSWER_BYTES", 1000)
    with serving("asyncio") as traced:
        traced.start("*")
        with HTTP1Client(traced.server.url) as peer:
            for _ in range(10):
                peer.request("GET", "/")
        first = traced.fetch()
        assert 1 < len(first["records"]) < 12
        assert first["ended"] is None


@pytest.mark.parametrize("message", [None, 7, {}, {"type": b"x", "body": None, "status": object()}])
def test_messages_may_be_anything(message: Any) -> None:
    json.dumps(tracing.described(message))


# -- decoding


def decoded(way: str, data: bytes, size: int, decoder: ConnectionDecoder | None = None) -> list[dict[str, Any]]:
    decoder = decoder or ConnectionDecoder()
    return [event for at in range(0, len(data), size) for event in decoder.feed(way, data[at : at + size])]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_http1_in_pieces(size: int) -> None:
    data = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    decoder = ConnectionDecoder()
    for _ in range(2):
        events = decoded(IN, data, size, decoder)
        assert events[0]["what"] == "request"
        assert sum(one["size"] for one in events if one["what"] == "body") == 3
        assert events[-1] == {"way": "in", "protocol": "HTTP/1.1", "what": "end", "trailers": [("x-t", "1")]}
        events = decoded(
            OUT, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", size, decoder
        )
        assert [one.get("status") for one in events if one["what"] == "response"] == [100, 200]
        assert events[-1]["what"] == "end"


@pytest.mark.parametrize("size", [1, 10_000])
def test_an_upgrade_to_http2(size: int) -> None:
    decoder = ConnectionDecoder()
    head = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"
    )
    decoded(IN, head, size, decoder)
    frame = b"\0\0\0\4\0\0\0\0\0"  # SETTINGS
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + frame
    events = decoded(OUT, answer, size, decoder)
    assert [one["what"] for one in events] == ["response", "frame"]
    events = decoded(IN, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame, size, decoder)
    assert [one["what"] for one in events] == ["preface", "frame"]


def test_frames_that_are_malformed() -> None:
    decoder = ConnectionDecoder()
    decoded(IN, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 100, decoder)
    (settings,) = decoded(IN, b"\0\0\1\4\0\0\0\0\0x", 100, decoder)
    assert "error" in settings
    (headers,) = decoded(IN, b"\0\0\1\1\4\0\0\0\1\x80", 100, decoder)
    assert "error" in headers
    (unknown,) = decoded(IN, b"\0\0\1\x42\4\0\0\0\1\x80", 100, decoder)
    assert unknown["frame"] == "Extension"


def test_secrets_are_kept_where_asked(tmp_path: Path) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: id=7\r\n\r\n\0\0\0"
    texts = []
    for secrets in (True, False):
        file = TraceFile(str(tmp_path / str(secrets)), {}, 100_000, secrets)
        for event in decoded(IN, head, 1000):
            file.event({"at": 1.0, "worker": 1, "connection": 1, **event})
        file.close("end")
        texts.append((tmp_path / str(secrets)).read_text())
    assert ["id=7" in text for text in texts] == [True, False]


def test_the_file_is_bounded(tmp_path: Path) -> None:
    file = TraceFile(str(tmp_path / "x"), {}, 1000, False)
    for _ in range(100):
        file.event({"at": 1.0, "worker": 1, "connection": 1, "what": "lost"})
    assert file.full
    file.close("full")
    assert (tmp_path / "x").stat().st_size < 1300
    with pytest.raises(FileExistsError):
        TraceFile(str(tmp_path / "x"), {}, 1000, False)


# -- commands


def test_events_are_shown_in_their_order() -> None:
    frame = {"what": "frame", "frame": "Data", "size": 3, "stream": 1, "way": "in"}
    call = {"what": "call", "call": 1, "kind": "http", "method": "GET", "path": "/\x1b[2J", "http": "2"}
    events: list[dict[str, Any]] = [
        {"hypercorn_trace": 1, "started": 10.0, "clients": ["*"], "seconds": 3.0},
        {"at": 12.0, "worker": 1, "connection": 2, **frame},
        {"at": 11.0, "worker": 1, "connection": None, **call},
        {"what": "trace ended", "reason": "x"},
    ]
    lines = list(lines_of(iter(events)))
    assert lines == [
        "trace of *, 3 seconds",
        "   1.0000  1#-        = call 1: http GET /\\x1b[2J (HTTP/2)",
        "   2.0000  1#2        > Data, stream 1, 3 bytes",
        "ended: x",
    ]
    assert len(list(lines_of(iter(events), connection=2))) == 3


@pytest.mark.parametrize("text", ["", "x\n", "[]\n", "{}\n", '{"hypercorn_trace": 1}\n{"at": 1}\n'])
def test_no_traces(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text(text)
    assert main(["trace", str(tmp_path / "x")]) == 2
    assert "hypercorn trace: error" in capsys.readouterr().err


def test_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((None, "1s", "x", "1MiB", False), "name whom to trace"),
        ((["a.b"], "1s", "x", "1MiB", False), "--client: "),
        ((["*"], "soon", "x", "1MiB", False), "--for soon: expected a time"),
        ((["*"], "2h", "x", "1MiB", False), "an hour at most"),
        ((["*"], "1s", None, "1MiB", False), "name a new file"),
        ((["*"], "1s", "x", "much", False), "--max-size much: expected"),
    ],
)
def test_wrong_options(arguments: Any, says: str) -> None:
    with pytest.raises(TraceRefused, match=says):
        Recording(*arguments)
