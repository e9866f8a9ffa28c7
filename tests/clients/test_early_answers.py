"""Uploads that are answered before they are read: clients see the status, over HTTP/1.1 and HTTP/2 (TLS), whether they
read while they send or not."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tests.operations.test_real_proxies import haproxy, with_haproxy
from tests.runtime.test_tls import Certificates, certificates
from tests.support.browser import Browser
from tests.support.live import Live, respond

__all__ = ("certificates",)  # a fixture

SIZES = (100_000, 1_000_000, 5_000_000)
FOLDER = Path(__file__).with_name("early")  # the clients that are no Python
FETCH = """fetch("/", {method: "POST", body: new Uint8Array(%d)}).then(async answer => {
  await answer.text()
  const entries = performance.getEntriesByType("resource")
  return answer.status + " " + entries[entries.length - 1].nextHopProtocol
}, String)"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Never reads a body."""
    if scope["method"] == "GET":
        await respond(send, b"<!doctype html>", headers=[(b"content-type", b"text/html")])
    elif scope["path"].startswith("/grpc"):
        fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"16"), (b"grpc-message", b"who?")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body"})
    else:
        await respond(send, b"no", 413)


@pytest.fixture
def live(serve_app: Callable[..., Live], certificates: Certificates) -> Live:
    return serve_app(app, lifespan="off", certfile=certificates.certfile, keyfile=certificates.keyfile)


def program(name: str) -> str:
    """The path of a program. Skips the test where there is none, and says so."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode(errors="replace").strip()


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("expect", [True, False])
def test_curl(live: Live, version: str, expect: bool, tmp_path: Path) -> None:
    curl = (program("curl"), "-sS", "-k", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code} %{http_version}")
    for size in SIZES:
        (tmp_path / "body").write_bytes(bytes(size))
        options = (f"--http{version}", *(() if expect else ("-H", "Expect:")), "--data-binary", f"@{tmp_path / 'body'}")
        assert run(*curl, *options, live.url) == f"413 {version}", size


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_java(live: Live, version: str, java_client: tuple[str, ...]) -> None:
    """Its HttpClient, which sends all of a body before it looks at the response."""
    sizes = [str(size) for size in SIZES]
    assert run(*java_client, live.url, version, *sizes) == " ".join(["413"] * 3)


@pytest.fixture(scope="module")
def java_client(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command of the client in Java, compiled once where there is a compiler."""
    java = (program("java"), "-XX:TieredStopAtLevel=1")
    if shutil.which("javac") is None:
        return (*java, str(FOLDER / "Early.java"))
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-d", folder, FOLDER / "Early.java"], check=True, timeout=300)
    return (*java, "-cp", str(folder), "Early")


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_node(live: Live, version: str) -> None:
    sizes = [str(size) for size in SIZES]
    assert run(program("node"), str(FOLDER / "early.js"), live.url, version, *sizes) == " ".join(["413"] * 3)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_go(live: Live, version: str, go_client: str) -> None:
    sizes = [str(size) for size in SIZES]
    assert run(go_client, live.url, version, *sizes) == " ".join(["413"] * 3)


@pytest.fixture(scope="module")
def go_client(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The client in Go, compiled."""
    go = program("go")
    built = tmp_path_factory.mktemp("go") / "early"
    subprocess.run([go, "build", "-o", built, FOLDER / "early.go"], check=True, timeout=300)
    return str(built)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_httpx(live: Live, certificates: Certificates, version: str) -> None:
    """Which waits for the window, and takes a stream that is reset for a failure."""
    with httpx.Client(
        http1=version != "2", http2=version == "2", verify=certificates.client, trust_env=False
    ) as client:
        for size in SIZES:
            answer = client.post(live.url.replace("127.0.0.1", "localhost"), content=bytes(size))
            assert (answer.status_code, answer.http_version) == (413, f"HTTP/{version}")


@with_haproxy
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])
def test_grpc_behind_haproxy(serve_app: Callable[..., Live], tmp_path: Path, streamed: bool) -> None:
    """A reset behind the answer would be CANCELLED to the client, whatever the answer says."""
    live = serve_app(app, lifespan="off")
    upstream = f"127.0.0.1:{live.port} proto h2"
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with (
        haproxy(tmp_path, upstream, "http", "") as port,
        grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel,
    ):
        kind: Any = channel.stream_unary if streamed else channel.unary_unary
        call = kind("/grpc/Upload", request_serializer=bytes, response_deserializer=bytes)
        for size in SIZES:
            for _ in range(3):
                messages = (bytes(size // 10) for _ in range(10))
                with pytest.raises(grpc.RpcError) as failed:
                    call(messages if streamed else bytes(size), timeout=20)
                assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "who?"), size
    assert live.errors() == []


def test_grpc(live: Live, certificates: Certificates) -> None:
    issuers = certificates.client.get_ca_certs(binary_form=True)
    root = "".join(map(ssl.DER_cert_to_PEM_cert, issuers)).encode()
    options = [("grpc.max_send_message_length", -1)]
    with grpc.secure_channel(f"localhost:{live.port}", grpc.ssl_channel_credentials(root), options) as channel:
        call = channel.unary_unary("/grpc/Upload", request_serializer=bytes, response_deserializer=bytes)
        for size in SIZES:
            with pytest.raises(grpc.RpcError) as failed:
                call(bytes(size), timeout=20)
            assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, "who?")


def test_chromium(live: Live) -> None:
    with Browser.start() as browser:
        page = browser.open(live.url)
        assert [page.run(FETCH % size) for size in SIZES] == ["413 h2"] * 3
