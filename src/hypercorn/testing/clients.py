"""Clients of HTTP/1.1, HTTP/2 and WebSocket for tests, by h11, h2 and wsproto.

    from hypercorn.testing import TestServer, connect
    from hypercorn.testing.clients import HTTP1Client, HTTP2Client, WebSocketClient

    assert HTTP1Client(connect(app)).request("GET", "/").body == b"hello"

    with TestServer(app) as url, HTTP2Client(url) as client:
        assert client.request("POST", "/", body=b"data").status == 200

They share no code with the server, so a misreading of a specification cannot hide on both sides. Needs the extra
`testing`. Each takes a URL, a client that `hypercorn.testing.connect` returned, whose server runs in memory, or a
`Line` of the caller's own. `hypercorn.testing.http3` has the client of HTTP/3.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h11
import wsproto
import wsproto.connection
import wsproto.events
from wsproto.extensions import PerMessageDeflate

from hypercorn.testing.memory import Client
from hypercorn.testing.response import Arriving, Response, StreamReset, text_of

__all__ = ("HTTP1Client", "HTTP2Client", "HandshakeRefused", "Line", "Response", "StreamReset", "WebSocketClient")

Headers = Iterable[tuple[str, str]]

_READ_BYTES = 65536


class HandshakeRefused(ConnectionError):
    """The server refused a WebSocket. `response` is the response instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"the server refused the WebSocket with status {response.status}")
        self.response = response


class Line(Protocol):
    """Carries the bytes of a connection.

    scheme: "http" or "https"
    authority: what requests have as their host (RFC 9110 section 7.2)
    """

    scheme: str
    authority: str

    def send(self, data: bytes) -> None:
        """Sends all of the data."""

    def receive(self) -> bytes:
        """The next bytes, b"" at the end of the connection. Raises TimeoutError where none come."""

    def close(self) -> None:
        """Closes the connection."""


Target: TypeAlias = "str | Client | Line"


class _MemoryLine:
    """A connection to a server in memory, which has always done all that it can do."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.scheme = client.transport.scheme
        self.authority = "example"

    def send(self, data: bytes) -> None:
        self.client.send(data)

    def receive(self) -> bytes:
        data = self.client.received()
        if not data and not self.client.closed and not self.client.half_closed:
            raise TimeoutError("the server sends nothing more before it gets something, or time passes")
        return data

    def close(self) -> None:
        self.client.end()


class _SocketLine:
    """A connection over a socket."""

    def __init__(self, url: str, timeout: float, tls: ssl.SSLContext | None, protocol: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or parts.hostname is None:
            raise ValueError(f"no URL of a server: {url!r}")
        secure = parts.scheme in ("https", "wss")
        self.scheme = "https" if secure else "http"
        self.authority = parts.netloc.rpartition("@")[2]
        self.sock = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), timeout)
        if secure:
            context = tls if tls is not None else ssl.create_default_context()
            context.set_alpn_protocols([protocol])
            self.sock = context.wrap_socket(self.sock, server_hostname=parts.hostname)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> bytes:
        return self.sock.recv(_READ_BYTES)

    def close(self) -> None:
        self.sock.close()


class _Endpoint:
    """A connection of any of the clients. Closed at the end of a `with` block.

    target: the URL of the server, a client in memory, or what carries the bytes of a connection that is open
    timeout: seconds after which a server that sends nothing raises TimeoutError
    tls: the context for https and wss; None: the default one, which trusts the system's certificates
    """

    protocol = "http/1.1"

    def __init__(self, target: Target, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self._line: Line
        if isinstance(target, str):
            self._line = _SocketLine(target, timeout, tls, self.protocol)
        elif isinstance(target, Client):
            self._line = _MemoryLine(target)
        else:
            self._line = target

    def __enter__(self) -> object:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._line.close()


class HTTP1Client(_Endpoint):
    """A client of HTTP/1.1, one request after the other on one connection, by h11."""

    def __init__(self, target: Target, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(target, timeout=timeout, tls=tls)
        self._state = h11.Connection(h11.CLIENT)
        self._response_begun: Arriving | None = None

    @property
    def unfinished(self) -> Response | None:
        """What has come of the response that an error cut short. None where its head has not come."""
        begun = self._response_begun
        return begun.whole() if begun is not None and begun.status else None

    @property
    def reusable(self) -> bool:
        """Whether the connection takes another request (RFC 9112 section 9.3)."""
        return bool(self._state.states == {h11.CLIENT: h11.IDLE, h11.SERVER: h11.IDLE})

    def request(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """Sends a request and waits for its response.

        path: the request target, with its query
        headers: beside `host` and, where there is a body, `content-length`

        Raises h11.RemoteProtocolError for a response that breaks RFC 9112 or a connection that ends within one.
        """
        fields = [(name.lower(), value) for name, value in headers]
        names = {name for name, _ in fields}
        if "host" not in names:
            fields.insert(0, ("host", self._line.authority))
        if body and not names & {"content-length", "transfer-encoding"}:
            fields.append(("content-length", str(len(body))))
        state = self._state
        data = state.send(h11.Request(method=method, target=path, headers=fields)) or b""
        if body:
            data += state.send(h11.Data(data=body)) or b""
        self._line.send(data + (state.send(h11.EndOfMessage()) or b""))
        return self._response()

    def _response(self) -> Response:
        response = self._response_begun = Arriving()
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                self._state.receive_data(self._line.receive())
            elif isinstance(event, h11.InformationalResponse):
                response.informational.append(event.status_code)
            elif isinstance(event, h11.Response):
                response.begin(event.status_code, text_of(event.headers))
            elif isinstance(event, h11.Data):
                response.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                response.trailers = text_of(event.headers)
                if self._state.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    self._state.start_next_cycle()
                self._response_begun = None
                return response.whole()
            else:
                raise ConnectionError("the server closed the connection before a response")


class HTTP2Client(_Endpoint):
    """A client of HTTP/2, by h2. Without TLS it starts with prior knowledge (RFC 9113 section 3.3)."""

    protocol = "h2"

    def __init__(self, target: Target, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(target, timeout=timeout, tls=tls)
        self._state = h2.connection.H2Connection(h2.config.H2Configuration())
        self._arriving: dict[int, Arriving] = {}
        self._ended: dict[int, Response | StreamReset] = {}
        self._state.initiate_connection()
        self._flush()

    @property
    def unfinished(self) -> Response | None:
        """What has come of the first response that has not ended. None where no head has come."""
        return next((one.whole() for one in self._arriving.values() if one.status), None)

    def request(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """Sends a request and waits for its response. Raises what `response` does."""
        return self.response(self.start(method, path, headers, body))

    def start(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> int:
        """Sends a request, its body as windows allow (RFC 9113 section 5.2). Returns the stream's identifier."""
        stream = self._state.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", self._line.scheme), (":authority", self._line.authority)]
        fields += [(":path", path), *((name.lower(), value) for name, value in headers)]
        self._arriving[stream] = Arriving()
        self._state.send_headers(stream, fields, end_stream=not body)
        self._flush()
        view = memoryview(body)
        while view and stream in self._arriving:
            size = min(self._state.local_flow_control_window(stream), self._state.max_outbound_frame_size, len(view))
            if size <= 0:
                self._receive()
                continue
            self._state.send_data(stream, bytes(view[:size]), end_stream=size == len(view))
            view = view[size:]
            self._flush()
        return stream

    def response(self, stream: int) -> Response:
        """Waits for the response on a stream. Raises StreamReset, or ConnectionError at the connection's end."""
        while stream not in self._ended:
            self._receive()
        result = self._ended.pop(stream)
        if isinstance(result, StreamReset):
            raise result
        return result

    def _flush(self) -> None:
        data = self._state.data_to_send()
        if data:
            self._line.send(data)

    def _receive(self) -> None:
        data = self._line.receive()
        if not data:
            raise ConnectionError("the server closed the connection before a response")
        for event in self._state.receive_data(data):
            self._event(event)
        self._flush()

    def _event(self, event: object) -> None:
        if isinstance(event, h2.events.ConnectionTerminated) and event.error_code:
            raise ConnectionError(f"the server closed the connection with error code {int(event.error_code)}")
        stream = getattr(event, "stream_id", None)
        response = self._arriving.get(stream) if stream is not None else None
        if stream is None or response is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            response.informational.append(_status(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            response.begin(_status(event.headers), text_of(event.headers))
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
            self._state.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = text_of(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            self._ended[stream] = self._arriving.pop(stream).whole()
        elif isinstance(event, h2.events.StreamReset):
            del self._arriving[stream]
            self._ended[stream] = StreamReset(int(event.error_code))


class WebSocketClient(_Endpoint):
    """A client of WebSocket over HTTP/1.1 (RFC 6455), by wsproto. Pings are answered.

    path: the request target, with its query
    subprotocols: those offered
    headers: beside those of the handshake
    compress: whether permessage-deflate is offered (RFC 7692)

    subprotocol: the one that the server chose, or None
    close_code, close_reason: of the Close frame that came, None before one has; 1006 where the connection ended without

    Raises HandshakeRefused where the server answers with anything but 101.
    """

    def __init__(
        self,
        target: Target,
        path: str = "/",
        *,
        subprotocols: Sequence[str] = (),
        headers: Headers = (),
        compress: bool = False,
        timeout: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(target, timeout=timeout, tls=tls)
        self.subprotocol: str | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._state = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._events: list[wsproto.events.Event] = []
        request = wsproto.events.Request(
            host=self._line.authority,
            target=path,
            subprotocols=list(subprotocols),
            extensions=[PerMessageDeflate()] if compress else [],
            extra_headers=[(name.encode(), value.encode()) for name, value in headers],
        )
        self._line.send(self._state.send(request))
        self._handshake()

    def _handshake(self) -> None:
        refusal = Arriving()
        while True:
            event = self._next()
            if isinstance(event, wsproto.events.AcceptConnection):
                self.subprotocol = event.subprotocol
                return
            more = False
            if isinstance(event, wsproto.events.RejectConnection):
                refusal.begin(event.status_code, text_of(event.headers))
                more = event.has_body
            elif isinstance(event, wsproto.events.RejectData):
                refusal.body += event.data
                more = not event.body_finished
            if not more:
                self.close()
                raise HandshakeRefused(refusal.whole())

    def send(self, message: str | bytes) -> None:
        """Sends a message, text for a str."""
        event: wsproto.events.Event
        if isinstance(message, str):
            event = wsproto.events.TextMessage(data=message)
        else:
            event = wsproto.events.BytesMessage(data=message)
        self._line.send(self._state.send(event))

    def receive(self) -> str | bytes:
        """The next message. Raises ConnectionError after the server's Close frame or the connection's end."""
        text: list[str] = []
        octets = bytearray()
        while True:
            event = self._next()
            if isinstance(event, wsproto.events.TextMessage):
                text.append(event.data)
                if event.message_finished:
                    return "".join(text)
            elif isinstance(event, wsproto.events.BytesMessage):
                octets += event.data
                if event.message_finished:
                    return bytes(octets)
            elif isinstance(event, wsproto.events.Ping):
                self._line.send(self._state.send(event.response()))
            elif isinstance(event, wsproto.events.CloseConnection):
                self._closed(event)
                raise ConnectionError(f"the server closed the WebSocket with code {event.code}")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Sends a Close frame where none was sent, and closes the connection (RFC 6455 section 7.1.2)."""
        if self._state.state is wsproto.connection.ConnectionState.OPEN:
            self._line.send(self._state.send(wsproto.events.CloseConnection(code=code, reason=reason)))
            try:
                while self.close_code is None:
                    event = self._next()
                    if isinstance(event, wsproto.events.CloseConnection):
                        self._closed(event)
            except (ConnectionError, TimeoutError):
                pass
        super().close()

    def _closed(self, event: wsproto.events.CloseConnection) -> None:
        self.close_code, self.close_reason = event.code, event.reason
        if self._state.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
            self._line.send(self._state.send(event.response()))

    def _next(self) -> object:
        while not self._events:
            data = self._line.receive()
            if not data:
                self.close_code = self.close_code or 1006
                raise ConnectionError("the server closed the connection without a Close frame")
            self._state.receive_data(data)
            self._events.extend(self._state.events())
        return self._events.pop(0)


def _status(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return int(dict(text_of(headers))[":status"])
