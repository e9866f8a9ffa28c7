"""One request by each protocol. Whatever a server does, an `Answer` tells of it."""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import NamedTuple

import h2.exceptions
import h11
import wsproto.utilities

from hypercorn.cli.check.certificates import client_context
from hypercorn.cli.check.connecting import MAX_BYTES, Resolved, TimedLine, milliseconds_since
from hypercorn.cli.check.report import Answer
from hypercorn.cli.check.target import Target
from hypercorn.testing.clients import HandshakeRefused, HTTP1Client, HTTP2Client, WebSocketClient
from hypercorn.testing.response import Response

HEADERS = [("user-agent", "hypercorn-check"), ("accept", "*/*")]
HTTP1, HTTP2, HTTP3, WEBSOCKET = "HTTP/1.1", "HTTP/2", "HTTP/3", "WebSocket"
NEEDS_H3 = "not tried: install hypercorn[h3]"
ALPN = {HTTP1: "http/1.1", HTTP2: "h2", WEBSOCKET: "http/1.1"}
FAILURES = (OSError, ValueError, h11.ProtocolError, h2.exceptions.H2Error, wsproto.utilities.ProtocolError)


class Settings(NamedTuple):
    """How requests are made. `timeout` is seconds for each of them, its handshakes included."""

    timeout: float
    cafile: str | None
    verify: bool


def ask(protocol: str, target: Target, resolved: Resolved, settings: Settings) -> Answer:
    """Asks over TCP: by HTTP/1.1, HTTP/2 or WebSocket."""
    answer = Answer(protocol)
    try:
        line = TimedLine(target, resolved, settings.timeout)
    except OSError as error:
        answer.error = reason_of(error)
        return answer
    answer.timings = line.timings
    try:
        if target.secure:
            sock = line.encrypt(client_context(settings.cafile, settings.verify, ALPN[protocol]))
            cipher = sock.cipher()
            answer.tls = f"{sock.version()}, {cipher[0] if cipher else '-'}"
            if protocol == HTTP2 and sock.selected_alpn_protocol() != "h2":
                answer.error = "not offered by ALPN"
                return answer
        if protocol == WEBSOCKET:
            _open_websocket(line, answer, target.path)
        else:
            _request(line, answer, target.path)
    except FAILURES as error:
        answer.error = reason_of(error)
        if protocol == HTTP2 and answer.status is None:
            answer.error = _why_no_http2(error, answer)
    finally:
        line.close()
    return answer


def _why_no_http2(error: Exception, answer: Answer) -> str | None:
    """What to say of a server without HTTP/2; other failures say themselves what they are."""
    if isinstance(error, ssl.SSLError) and "NO_APPLICATION_PROTOCOL" in (error.reason or ""):
        return "not offered by ALPN"
    if isinstance(error, h2.exceptions.H2Error) or type(error) is ConnectionError:
        return f"not spoken ({answer.error})"
    return answer.error


def _request(line: TimedLine, answer: Answer, path: str) -> None:
    begin = time.monotonic()
    client: HTTP1Client | HTTP2Client
    client = HTTP2Client(line) if answer.protocol == HTTP2 else HTTP1Client(line)
    try:
        response = client.request("GET", path, HEADERS)
    except FAILURES:
        if client.unfinished is not None:
            take(answer, client.unfinished, begin)
        raise
    take(answer, response, begin)
    answer.timings.whole = milliseconds_since(begin)


def _open_websocket(line: TimedLine, answer: Answer, path: str) -> None:
    begin = time.monotonic()
    try:
        client = WebSocketClient(line, path, headers=HEADERS[:1])
    except HandshakeRefused as refusal:
        take(answer, refusal.response, begin)
        answer.timings.whole = milliseconds_since(begin)
        return
    answer.status = 101
    answer.timings.first_byte = answer.timings.whole = milliseconds_since(begin)
    with suppress(*FAILURES):  # the WebSocket was opened, which is what was asked
        client.close()


def ask_http3(target: Target, address: tuple[str, int], settings: Settings) -> Answer:
    """Asks by HTTP/3, at that host and port."""
    answer = Answer(HTTP3)
    try:
        from hypercorn.testing.http3 import HTTP3Client
    except ImportError:
        answer.error = NEEDS_H3
        return answer
    begin = time.monotonic()
    try:
        client = HTTP3Client(
            f"https://{target.authority}",
            timeout=settings.timeout,
            cafile=settings.cafile,
            verify=settings.verify,
            address=address,
            max_size=MAX_BYTES,
        )
    except FAILURES as error:
        answer.error = f"no connection to UDP port {address[1]}: {reason_of(error)}"
        return answer
    answer.timings.connect = milliseconds_since(begin)
    answer.tls = "TLSv1.3"
    with client:
        begin = time.monotonic()
        try:
            response = client.request("GET", target.path, HEADERS)
        except FAILURES as error:
            answer.error = reason_of(error)
            if client.unfinished is not None:
                take(answer, client.unfinished, begin)
            return answer
        take(answer, response, begin)
        answer.timings.whole = milliseconds_since(begin)
    return answer


def take(answer: Answer, response: Response, begin: float) -> None:
    """Notes a response, whole or not, to a request that was sent at `begin`."""
    answer.status = response.status
    answer.headers = response.headers
    answer.size = len(response.body)
    answer.timings.first_byte = round((response.head_at - begin) * 1000, 3)


def reason_of(error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
