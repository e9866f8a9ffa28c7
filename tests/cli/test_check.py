"""`hypercorn check`: what it finds at live servers, and what it says of what it finds."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from tests.support.authority import Authority, new_authority
from tests.support.live import BACKENDS

from hypercorn.__main__ import main
from hypercorn.cli.check.asking import reason_of
from hypercorn.cli.check.command import announced_http3, examine
from hypercorn.cli.check.connecting import MAX_BYTES, resolve
from hypercorn.cli.check.report import Answer, Report, text_of
from hypercorn.cli.check.target import parse_target
from hypercorn.testing import TestServer

__all__ = ("new_authority",)
pytestmark = pytest.mark.live


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/no":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        await receive()
        return
    statuses = {"/404": 404, "/moved": 302}
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store"), (b"x-own", b"1")]
    if scope["path"] == "/moved":
        headers.append((b"location", b"/elsewhere"))
    if scope["path"] == "/safe":
        headers.append((b"strict-transport-security", b"max-age=60"))
    await send({"type": "http.response.start", "status": statuses.get(scope["path"], 200), "headers": headers})
    if scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    body = bytes(MAX_BYTES + 100_000) if scope["path"] == "/large" else scope["query_string"] or b"hello"
    await send({"type": "http.response.body", "body": body})


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_server_in_order(backend: Any, authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    issued = authority.issue("localhost")
    with TestServer(app, backend=backend, lifespan="off", http3=True, log_level="CRITICAL", **issued) as url:
        url = url.replace("127.0.0.1", "localhost")
        code, report = run(capsys, f"{url}/safe?a=b", "--cafile", authority.file)
    assert code == 0, report
    assert report["problems"] == []
    assert report["notes"] == []
    assert [(one["protocol"], one["status"], one["size"]) for one in report["answers"]] == [
        ("HTTP/1.1", 200, 3),
        ("HTTP/2", 200, 3),
        ("HTTP/3", 200, 3),
    ]
    for one in report["answers"]:
        times = one["timings"]
        assert one["tls"].startswith("TLSv1.3")
        assert 0 < times["first_byte"] <= times["whole"] < 5000
        assert times["connect"] > 0
        assert (times["dns"] is None) == (times["tls"] is None) == (one["protocol"] == "HTTP/3")
        assert ["cache-control", "no-store"] in one["headers"]
    found = report["certificate"]
    assert found["verified"]
    assert found["names"] == ["localhost"]
    assert "trustme" in found["subject"]
    assert "trustme" in found["issuer"]
    assert found["days_left"] > 365


@pytest.mark.parametrize("backend", BACKENDS)
def test_plain_text(backend: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with TestServer(app, backend=backend, lifespan="off", log_level="CRITICAL") as url:
        code, report = run(capsys, f"{url}/")
        assert (code, report["certificate"]) == (0, None)
        assert [(one["protocol"], one["status"]) for one in report["answers"]] == [("HTTP/1.1", 200), ("HTTP/2", 200)]
        code, report = run(capsys, f"{url}/404")
        assert (code, report["problems"]) == (1, ["HTTP/1.1: status 404", "HTTP/2: status 404"])
        code, report = run(capsys, f"{url}/moved")
        assert (code, report["notes"]) == (0, ["redirected to /elsewhere, which was not followed"])
        code, report = run(capsys, f"{url}/endless", "--timeout", "0.3")
        assert (code, [one["status"] for one in report["answers"]]) == (1, [200, 200])
        assert "HTTP/2: the response did not end: timed out" in report["problems"]
        code, report = run(capsys, f"{url}/large")
        assert code == 1
        assert (
            f"HTTP/1.1: the response did not end: the response is longer than {MAX_BYTES} bytes" in report["problems"]
        )
        code, report = run(capsys, url.replace("http:", "ws:") + "/chat")
        assert (code, [(one["protocol"], one["status"]) for one in report["answers"]]) == (0, [("WebSocket", 101)])
        code, report = run(capsys, url.replace("http:", "ws:") + "/no")
        assert (code, report["problems"]) == (1, ["the server refused the WebSocket with status 403"])


def problems_of(url: str, path: str = "/", cafile: str | None = None) -> Report:
    return examine(parse_target(url.replace("127.0.0.1", "localhost") + path), 5.0, cafile)


def test_certificates_that_clients_refuse(authority: Authority) -> None:
    with TestServer(app, lifespan="off", log_level="CRITICAL", **authority.issue("localhost")) as url:
        report = problems_of(url)
        assert report.certificate is not None
        assert not report.certificate.verified
        assert report.certificate.names == ["localhost"]
        assert report.problems == [f"clients do not trust the certificate: {report.certificate.reason}"]
        assert [one.status for one in report.answers[:2]] == [200, 200]  # asked all the same
    with TestServer(app, lifespan="off", log_level="CRITICAL", **authority.issue("other.test")) as url:
        report = problems_of(url, cafile=authority.file)
        assert "Hostname mismatch" in report.problems[0]
        assert report.certificate is not None
        assert report.certificate.names == ["other.test"]
    past = datetime.now(timezone.utc) - timedelta(days=3)
    with TestServer(
        app, lifespan="off", log_level="CRITICAL", **authority.issue("localhost", file="old", not_after=past)
    ) as url:
        report = problems_of(url, cafile=authority.file)
        assert "expired" in report.problems[0]
        assert report.certificate is not None
        assert report.certificate.days_left in (-3, -4)
    soon = datetime.now(timezone.utc) + timedelta(days=3)
    with TestServer(
        app, lifespan="off", log_level="CRITICAL", **authority.issue("localhost", file="new", not_after=soon)
    ) as url:
        report = problems_of(url, "/safe", authority.file)
        assert report.problems == []
        assert "the certificate ends in 2 days" in report.notes


def test_without_cryptography(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed is told by its extra."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "hypercorn.testing.http3", None)
    with TestServer(app, lifespan="off", log_level="CRITICAL", **authority.issue("localhost")) as url:
        report = problems_of(url)
    assert report.certificate is not None
    assert "install hypercorn[h3]" in (report.certificate.reason or "")
    assert "HTTP/3 was not tried: install hypercorn[h3]" in report.notes


def test_without_the_clients(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("hypercorn.cli.check.", "hypercorn.testing.clients"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "h11", None)
    assert main(["check", "http://localhost/"]) == 2
    assert "pip install hypercorn[testing]" in capsys.readouterr().err


def test_http3_that_is_announced_and_not_served(authority: Authority) -> None:
    options = authority.issue("localhost")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        alt_svc = [f'h3=":{port}"; ma=60']
        with TestServer(app, lifespan="off", log_level="CRITICAL", alt_svc_headers=alt_svc, **options) as url:
            report = examine(parse_target(url.replace("127.0.0.1", "localhost")), 0.5, authority.file)
    assert any(one.startswith(f"Alt-Svc announces HTTP/3 on port {port}, but") for one in report.problems)


def test_only_http1(authority: Authority) -> None:
    options = {"alpn_protocols": ["http/1.1"], **authority.issue("localhost")}
    with TestServer(app, lifespan="off", log_level="CRITICAL", **options) as url:
        report = problems_of(url, "/safe", authority.file)
    assert report.problems == []
    assert report.answers[1].error == "not offered by ALPN"


@contextmanager
def speaking(answer: bytes) -> Iterator[str]:
    """A server that answers every connection with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    sock.recv(65536)
                    sock.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"]
)
def test_servers_out_of_order(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(answer) as url:
        code, report = run(capsys, url, "--timeout", "2")
    assert code == 1
    assert report["answers"][0]["error"]


def test_a_response_cannot_control_the_terminal() -> None:
    report = Report("http://a.test/", answers=[Answer("HTTP/1.1", 200, headers=[("server", "\x1b[2J\x9b")])])
    text = text_of(report)
    assert "\\x1b[2J\\x9b" in text
    assert "\x1b" not in text


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code, report = run(capsys, f"http://127.0.0.1:{port}/")
    assert (code, report["problems"]) == (1, ["no response: HTTP/1.1: Connection refused"])
    code, report = run(capsys, "http://name.invalid/")
    assert code == 1
    assert "name.invalid cannot be resolved" in report["problems"][0]


def test_a_resolver_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [] if waiting.wait(10) else None)
    with pytest.raises(TimeoutError, match=r"was not resolved within 0\.1 seconds"):
        resolve(parse_target("http://slow.test/"), 0.1)
    waiting.set()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("example.com", "write its scheme too, such as https://example.com"),
        ("ftp://a.test/", "the scheme is 'ftp'; it can be http, https, ws, wss"),
        ("http:///x", "has no host"),
        ("http://a.test:99999/", "is no URL: Port out of range"),
        ("http://a.test:0/", "port 0"),
        ("http://a.test/a b", "has a space"),
        ("http://[::1/", "is no URL"),
    ],
)
def test_wrong_urls(url: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", url])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [(), ("--timeout", "0", "http://a.test"), ("--cafile", "/none", "https://a.test")]
)
def test_wrong_arguments(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", *arguments])
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err


def test_parts_of_a_url() -> None:
    target = parse_target("https://user@Bücher.example:8443/ä?q=ö%20#part")
    assert (target.host, target.port, target.authority) == (
        "xn--bcher-kva.example",
        8443,
        "xn--bcher-kva.example:8443",
    )
    assert target.path == "/%C3%A4?q=%C3%B6%20"
    assert parse_target("ws://[::1]").authority == "[::1]"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('h3=":443"; ma=60', ("", 443)),
        ('h2="a.test:1", h3="b.test:444"', ("b.test", 444)),
        ('h3=":99999"', None),
        ("clear", None),
    ],
)
def test_alt_svc(value: str, found: object) -> None:
    assert announced_http3([Answer("HTTP/2", 200, headers=[("alt-svc", value)])]) == found


def test_an_error_without_words() -> None:
    assert reason_of(ValueError()) == "ValueError"


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.cli.check.command.resolve", failing(KeyboardInterrupt()))  # type: ignore[arg-type]
    assert main(["check", "http://a.test"]) == 130
