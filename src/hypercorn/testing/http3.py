"""A client of HTTP/3 for tests, by aioquic over a UDP socket that blocks. Needs the extra `h3`.

    from hypercorn.testing.http3 import HTTP3Client

    with HTTP3Client("https://localhost:8443", cafile="ca.pem") as client:
        assert client.request("GET", "/").status == 200

aioquic also carries the server's QUIC; HTTP/3 itself is aioquic's here, and the project's own in the server.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from urllib.parse import urlsplit

from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from hypercorn.testing.response import Arriving, Response, StreamReset, text_of

__all__ = ("HTTP3Client",)

_READ_BYTES = 65536


class HTTP3Client:
    """A client of HTTP/3 (RFC 9114), one request after the other on one connection.

    target: the URL of the server, https
    timeout: seconds that the handshake, and then each request, may take; TimeoutError after that
    cafile: a PEM file of the authorities to trust; None: those that aioquic finds on the system
    verify: whether the certificate is verified
    address: where the datagrams go, if not to the host and port of the URL
    max_size: bytes of a body that are taken; ConnectionError for more

    Raises OSError where the server cannot be reached, ConnectionError where the handshake fails.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 10.0,
        cafile: str | None = None,
        verify: bool = True,
        address: tuple[str, int] | None = None,
        max_size: float = inf,
    ) -> None:
        parts = urlsplit(target)
        if parts.scheme != "https" or parts.hostname is None:
            raise ValueError(f"no URL of a server of HTTP/3: {target!r}")
        self._authority = parts.netloc.rpartition("@")[2]
        self._timeout = timeout
        self._max_size = max_size
        host, port = address or (parts.hostname, parts.port or 443)
        family, kind, number, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._sock = socket.socket(family, kind, number)
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN, server_name=parts.hostname, idle_timeout=max(timeout, 1.0), cafile=cafile
        )
        configuration.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
        self._quic = QuicConnection(configuration=configuration)
        self._http: H3Connection | None = None
        self._ended: str | None = None  # why the connection is over
        self._arriving: Arriving | None = None
        self._reset: StreamReset | None = None
        self._whole = False  # the response
        try:
            self._sock.connect(found)
            self._quic.connect(found, time.monotonic())
            self._until(lambda: self._http is not None)
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> HTTP3Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def unfinished(self) -> Response | None:
        """What has come of the response that an error cut short. None where its head has not come."""
        begun = self._arriving
        return begun.whole() if begun is not None and begun.status else None

    def request(self, method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Response:
        """Sends a request and waits for its response.

        path: the request target, with its query

        Raises StreamReset, TimeoutError, or ConnectionError at the connection's end.
        """
        assert self._http is not None  # the handshake is over
        fields = [(b":method", method.encode()), (b":scheme", b"https"), (b":authority", self._authority.encode())]
        fields += [(b":path", path.encode()), *((name.lower().encode(), value.encode()) for name, value in headers)]
        stream = self._quic.get_next_available_stream_id()
        self._arriving, self._reset, self._whole = Arriving(), None, False
        self._http.send_headers(stream, fields, end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        self._until(lambda: self._whole or self._reset is not None)
        if self._reset is not None:
            raise self._reset
        arriving, self._arriving = self._arriving, None
        return arriving.whole()

    def close(self) -> None:
        """Closes the connection."""
        self._quic.close()
        with suppress(OSError):  # nobody is there to be told
            self._send()
        self._sock.close()

    # -- the loop

    def _until(self, done: Callable[[], bool]) -> None:
        """Sends and receives until `done()`. Raises TimeoutError and ConnectionError."""
        deadline = time.monotonic() + self._timeout
        while not done():
            if self._ended is not None:
                raise ConnectionError(self._ended)
            self._send()
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError("timed out")
            timer = self._quic.get_timer()
            self._sock.settimeout(max(0.0005, min(deadline, deadline if timer is None else timer) - now))
            try:
                data = self._sock.recv(_READ_BYTES)
            except (TimeoutError, BlockingIOError):
                self._quic.handle_timer(now=time.monotonic())
            else:
                self._quic.receive_datagram(data, self._sock.getpeername(), now=time.monotonic())
            self._read_events()
        self._send()

    def _send(self) -> None:
        for data, _ in self._quic.datagrams_to_send(now=time.monotonic()):
            self._sock.send(data)

    def _read_events(self) -> None:
        while (event := self._quic.next_event()) is not None:
            if isinstance(event, events.HandshakeCompleted):
                self._http = H3Connection(self._quic)
            elif isinstance(event, events.ConnectionTerminated):
                reason = event.reason_phrase or "no reason was given"
                self._ended = f"the connection ended with error code {event.error_code:#x}: {reason}"
            elif isinstance(event, events.StreamReset):
                self._reset = StreamReset(event.error_code)
            if self._http is not None:
                for one in self._http.handle_event(event):
                    self._http_event(one)

    def _http_event(self, event: object) -> None:
        response = self._arriving
        if response is None or not isinstance(event, (HeadersReceived, DataReceived)):
            return
        if isinstance(event, DataReceived):
            response.body += event.data
            if len(response.body) > self._max_size:
                self._ended = f"the body is longer than {self._max_size} bytes"
        else:
            fields = text_of(event.headers)
            status = int(dict(fields).get(":status", "0"))
            if not status:
                response.trailers = fields
            elif status < 200:
                response.informational.append(status)
            else:
                response.begin(status, fields)
        self._whole = self._whole or event.stream_ended
