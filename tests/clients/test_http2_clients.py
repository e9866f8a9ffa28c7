"""HTTP/2 clients that people use, against every loop: curl, nghttp, h2load, httpx and grpcio."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import Live, body_of, respond

__all__ = ("certificates",)  # a fixture

LARGE = bytes(range(256)) * 4096  # 1 MiB


def tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"this test needs {name}"
    return found


def run(*command: str, data: bytes = b"") -> bytes:
    done = subprocess.run(command, capture_output=True, input=data, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/echo gives the body back, /large a mebibyte; the rest names the HTTP version."""
    if scope["path"] == "/echo":
        await respond(send, await body_of(receive))
    elif scope["path"] == "/large":
        await respond(send, LARGE)
    else:
        await respond(send, f"HTTP/{scope['http_version']} {scope['scheme']}".encode())


@pytest.fixture
def live(serve_app: Any) -> Live:
    server: Live = serve_app(app, lifespan="off", keep_alive_max_requests=10**6)
    return server


@pytest.fixture
def secure(serve_app: Any, certificates: Certificates) -> Live:
    files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
    server: Live = serve_app(app, lifespan="off", **files)
    return server


def test_curl(live: Live, secure: Live) -> None:
    curl = (tool("curl"), "-sS", "-k", "--noproxy", "*")
    assert run(*curl, "--http2-prior-knowledge", live.url) == b"HTTP/2 http"
    assert run(*curl, "--http2", live.url) == b"HTTP/1.1 http"
    assert run(*curl, "--http2", secure.url) == b"HTTP/2 https"
    assert run(*curl, "--http1.1", secure.url) == b"HTTP/1.1 https"
    for url, option in ((live.url, "--http2-prior-knowledge"), (secure.url, "--http2")):
        assert run(*curl, option, f"{url}/large") == LARGE
        assert run(*curl, option, "--data-binary", "@-", f"{url}/echo", data=LARGE) == LARGE
    many = [f"{secure.url}/large?{number}" for number in range(10)]
    # Not with prior knowledge: curl 7.88 cannot, whatever the server.
    assert len(run(*curl, "--http2", "--parallel", *many)) == 10 * len(LARGE)


def test_upgrades(serve_app: Any) -> None:
    """By `Upgrade: h2c`, where an option allows it."""
    url = serve_app(app, lifespan="off", h2c_upgrade=True).url
    curl = (tool("curl"), "-sS", "--noproxy", "*", "--http2")
    assert run(*curl, url) == b"HTTP/2 http"
    assert run(*curl, f"{url}/large", f"{url}/large") == 2 * LARGE
    assert run(tool("nghttp"), "-u", url) == b"HTTP/2 http"


def test_nghttp(live: Live, tmp_path: Path) -> None:
    nghttp = tool("nghttp")
    assert run(nghttp, live.url) == b"HTTP/2 http"
    assert run(nghttp, "-n", "-s", "-m", "50", f"{live.url}/large")
    (tmp_path / "body").write_bytes(LARGE)
    assert run(nghttp, "-d", str(tmp_path / "body"), f"{live.url}/echo") == LARGE


def test_h2load(live: Live) -> None:
    report = run(tool("h2load"), "-n", "3000", "-c", "4", "-m", "32", live.url).decode()
    assert re.search(r"3000 succeeded, 0 failed, 0 errored", report), report


def test_httpx(live: Live, secure: Live, certificates: Certificates) -> None:
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        assert client.get(live.url).http_version == "HTTP/2"
        assert client.post(f"{live.url}/echo", content=LARGE).content == LARGE
    with httpx.Client(http2=True, verify=certificates.client, trust_env=False) as client:
        url = secure.url.replace("127.0.0.1", "localhost")
        assert client.get(url).text == "HTTP/2 https"
        assert client.get(f"{url}/large").content == LARGE


# -- gRPC


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


async def messages(receive: Any) -> Any:
    """The messages of a call as they come."""
    buffer = b""
    more = True
    while more:
        event = await receive()
        assert event["type"] == "http.request"
        buffer += event["body"]
        more = event["more_body"]
        while len(buffer) >= 5 and len(buffer) >= 5 + int.from_bytes(buffer[1:5], "big"):
            end = 5 + int.from_bytes(buffer[1:5], "big")
            yield buffer[5:end]
            buffer = buffer[end:]


async def grpc_app(scope: Any, receive: Any, send: Any) -> None:
    """/test/Echo gives every message back, /test/Join all of them as one, /test/Count as many as it is told;
    /test/Fail says why it does not."""
    fields = [(b"content-type", b"application/grpc")]
    await send({"type": "http.response.start", "status": 200, "headers": fields, "trailers": True})
    status = [(b"grpc-status", b"0")]
    if scope["path"] == "/test/Fail":
        status = [(b"grpc-status", b"5"), (b"grpc-message", b"nothing here")]
    elif scope["path"] == "/test/Join":
        joined = b"".join([message async for message in messages(receive)])
        await send({"type": "http.response.body", "body": framed(joined), "more_body": True})
    elif scope["path"] == "/test/Count":
        (times,) = [int(message) async for message in messages(receive)]
        for number in range(times):
            await send({"type": "http.response.body", "body": framed(b"%d" % number), "more_body": True})
    else:
        async for message in messages(receive):
            await send({"type": "http.response.body", "body": framed(message), "more_body": True})
    await send({"type": "http.response.body"})
    await send({"type": "http.response.trailers", "headers": status})


def plain(value: bytes) -> bytes:
    return value


def test_grpc(serve_app: Any) -> None:
    live: Live = serve_app(grpc_app, lifespan="off")
    kinds = {"request_serializer": plain, "response_deserializer": plain}
    with grpc.insecure_channel(f"127.0.0.1:{live.port}") as channel:
        echo = channel.unary_unary("/test/Echo", **kinds)
        assert echo(b"hello", timeout=20) == b"hello"
        assert echo(LARGE, timeout=20) == LARGE
        futures = [echo.future(b"%d" % number, timeout=20) for number in range(200)]
        assert [future.result() for future in futures] == [b"%d" % number for number in range(200)]

        def questions() -> Iterator[bytes]:
            for number in range(50):
                yield b"%d" % number

        both = channel.stream_stream("/test/Echo", **kinds)
        assert list(both(questions(), timeout=20)) == list(questions())
        assert channel.stream_unary("/test/Join", **kinds)(questions(), timeout=20) == b"".join(questions())
        count = channel.unary_stream("/test/Count", **kinds)
        assert list(count(b"1000", timeout=20)) == [b"%d" % number for number in range(1000)]
        endless = count(b"1000000", timeout=20)
        assert next(endless) == b"0"
        endless.cancel()
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/test/Fail", **kinds)(b"", timeout=20)
        assert failed.value.code() == grpc.StatusCode.NOT_FOUND
        assert failed.value.details() == "nothing here"
    assert live.errors() == []


def test_a_grpc_call_that_streams_slowly(serve_app: Any) -> None:
    """Far below the least rate of a request body, before anything is answered."""
    live: Live = serve_app(grpc_app, lifespan="off", min_receive_rate=1_000_000, min_rate_grace=0.1)

    def words() -> Iterator[bytes]:
        for word in (b"in ", b"its ", b"own ", b"time"):
            time.sleep(0.2)
            yield word

    with grpc.insecure_channel(f"127.0.0.1:{live.port}") as channel:
        join = channel.stream_unary("/test/Join", request_serializer=plain, response_deserializer=plain)
        assert join(words(), timeout=20) == b"in its own time"
    assert live.errors() == []
