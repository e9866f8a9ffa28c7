"""Clients that people use, against every loop: httpx, requests, aiohttp, http.client, curl, wrk."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import re
import shutil
import subprocess
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from tests.support.live import Live, body_of, pause, respond

LARGE = bytes(range(256)) * 4096  # 1 MiB


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/echo gives the body back, /stream sends in pieces, /digest sums an upload up, /head and the rest say hello."""
    path = scope["path"]
    if path == "/echo":
        headers = [(b"content-type", b"application/octet-stream")]
        await respond(send, await body_of(receive), headers=headers)
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(10):
            await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
            await pause(0.001)
        await send({"type": "http.response.body"})
    elif path == "/digest":
        await respond(send, hashlib.sha256(await body_of(receive)).hexdigest().encode())
    elif path == "/large":
        await respond(send, LARGE)
    elif path == "/refuse":
        await respond(send, b"no", status=403)
    else:
        fields = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        await respond(send, json.dumps(fields).encode(), headers=[(b"content-type", b"application/json")])


@pytest.fixture
def live(serve_app: Any) -> Live:
    server: Live = serve_app(app, lifespan="off")
    return server


def test_httpx(live: Live) -> None:
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        assert client.get("/").json()["host"] == f"127.0.0.1:{live.port}"
        assert client.post("/echo", content=b"some bytes").content == b"some bytes"
        assert client.get("/stream").text == "0 1 2 3 4 5 6 7 8 9 "
        assert client.get("/large").content == LARGE
        assert client.head("/").content == b""
        pieces = (LARGE[at : at + 10_000] for at in range(0, len(LARGE), 10_000))
        assert client.post("/digest", content=pieces).text == hashlib.sha256(LARGE).hexdigest()
        with client.stream("GET", "/stream") as response:
            assert "".join(response.iter_text()) == "0 1 2 3 4 5 6 7 8 9 "
        assert client.post("/refuse", content=LARGE).status_code == 403
        assert client.get("/").status_code == 200
    assert live.errors() == []


def test_requests(live: Live) -> None:
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{live.url}/").json()["host"] == f"127.0.0.1:{live.port}"
        assert session.post(f"{live.url}/echo", data=LARGE).content == LARGE
        assert session.get(f"{live.url}/stream").text == "0 1 2 3 4 5 6 7 8 9 "
        assert session.put(f"{live.url}/digest", data=iter([b"a", b"b"])).text == digest(b"ab")
        assert session.head(f"{live.url}/").status_code == 200
        files = {"file": ("name.bin", LARGE)}
        assert session.post(f"{live.url}/digest", files=files).status_code == 200
    assert live.errors() == []


def digest(data: bytes) -> str:
    """What /digest answers."""
    return hashlib.sha256(data).hexdigest()


def test_aiohttp(live: Live) -> None:
    async def talk() -> None:
        async with aiohttp.ClientSession(live.url) as session:
            async with session.get("/") as response:
                assert (await response.json())["host"] == f"127.0.0.1:{live.port}"
            async with session.post("/echo", data=LARGE) as response:
                assert await response.read() == LARGE

            async def pieces() -> Any:
                for at in range(0, len(LARGE), 50_000):
                    yield LARGE[at : at + 50_000]

            async with session.post("/digest", data=pieces()) as response:
                assert await response.text() == digest(LARGE)
            async with session.post("/echo", data=b"x" * 100, expect100=True) as response:
                assert await response.read() == b"x" * 100

            async def one(number: int) -> bytes:
                async with session.post("/echo", data=b"%d" % number) as response:
                    return await response.read()

            assert await asyncio.gather(*map(one, range(50))) == [b"%d" % number for number in range(50)]

    asyncio.run(talk())
    assert live.errors() == []


def test_http_client(live: Live) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    try:
        for _ in range(3):
            connection.request("POST", "/echo", body=iter([b"one", b"two"]), encode_chunked=True)
            assert connection.getresponse().read() == b"onetwo"
            connection.request("GET", "/stream")
            assert connection.getresponse().read() == b"0 1 2 3 4 5 6 7 8 9 "
    finally:
        connection.close()
    assert live.errors() == []


def curl(live: Live, *arguments: str, data: bytes = b"") -> bytes:
    """What curl prints. Fails where it fails."""
    program = shutil.which("curl")
    assert program is not None, "this test needs curl"
    command = [program, "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_curl(live: Live) -> None:
    assert json.loads(curl(live, f"{live.url}/"))["user-agent"].startswith("curl/")
    assert curl(live, f"{live.url}/large") == LARGE
    assert curl(live, "--head", f"{live.url}/").startswith(b"HTTP/1.1 200")
    # More than a megabyte: curl asks with Expect: 100-continue, and waits a second if nobody answers.
    began = LARGE * 2
    assert curl(live, "--data-binary", "@-", f"{live.url}/digest", data=began).decode() == digest(began)
    chunked = curl(live, "-T", "-", f"{live.url}/digest", data=LARGE)
    assert chunked.decode() == digest(LARGE)
    assert curl(live, "--http1.0", f"{live.url}/stream") == b"0 1 2 3 4 5 6 7 8 9 "
    assert (
        curl(live, "-w", "%{http_code}", "-o", "/dev/null", "-T", "-", f"{live.url}/refuse", data=LARGE * 3) == b"403"
    )
    twice = curl(live, "-v", f"{live.url}/stream", f"{live.url}/stream")
    assert twice == b"0 1 2 3 4 5 6 7 8 9 " * 2
    assert live.errors() == []


def test_wrk(live: Live) -> None:
    """A second of load, without a single error."""
    program = shutil.which("wrk")
    assert program is not None, "this test needs wrk"
    command = [program, "-t1", "-c32", "-d1s", f"{live.url}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "Socket errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
    found = re.search(r"(\d+) requests in", done.stdout)
    assert found is not None
    assert int(found[1]) > 50  # however busy the machine is
    assert live.errors() == []
