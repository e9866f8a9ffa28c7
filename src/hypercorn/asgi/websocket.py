"""One WebSocket as an application sees it (ASGI WebSocket specification 2.5), for every HTTP version.

The order of messages is here; frames, pings and times are `protocol.websocket`'s, the handshake's answer is the HTTP
connection's. What an application sends once the peer is gone raises `ClientDisconnected`, whether it was told already
or not; what it sends after its own close is a message out of place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hypercorn.asgi.exchange import DONE, ASGIExchange, Drain, as_dict, to_bytes
from hypercorn.asgi.messages import COUNTED, PENDING, Message, Scope
from hypercorn.errors import ClientDisconnected, UnexpectedMessageError
from hypercorn.objects import same_text
from hypercorn.protocol.ports import Connection
from hypercorn.protocol.turns import TURN_SECONDS
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.wire.websocket import is_close_code
from hypercorn.wire.writing import plain_field

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext
    from hypercorn.protocol.websocket.handshake import Handshake

CONNECTING, DENYING, CONNECTED, CLOSED = range(4)
STATE_NAMES = ("HANDSHAKE", "RESPONSE", "CONNECTED", "CLOSED")
QUEUE_BYTES = 262144  # of messages that wait for the application before no more are taken
RECEIVE: Message = {"type": "websocket.receive", "bytes": None, "text": None}  # copied for each message
OWN_FIELDS = frozenset(
    (
        b"connection",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
        b"upgrade",
    )
)


class Subscriber(Protocol):
    """What else sends to a WebSocket: its application's subscriptions to broadcasts."""

    def writable(self) -> None:
        """The client reads again."""

    def ended(self) -> None:
        """The WebSocket has ended: nothing more is sent to it."""


class WebSocketExchange(ASGIExchange):
    """A WebSocket and its handshake."""

    __slots__ = (
        "arrived",
        "burst_at",
        "code",
        "connect_given",
        "handshake",
        "max_queue",
        "queued",
        "ready",
        "reason",
        "socket",
        "state",
        "subscriber",
    )

    def __init__(self, connection: Connection, context: ASGIContext, scope: Scope, handshake: Handshake) -> None:
        super().__init__(connection, context.runtime)
        self.context = context
        self.scope = scope
        self.method = "WebSocket"
        self.raw_path: bytes = scope["raw_path"]
        self.handshake: Handshake | None = handshake
        self.socket: WebSocketConnection | None = None
        self.state = CONNECTING
        self.connect_given = False
        self.max_queue: int = context.limits.websocket_max_queue
        # Messages in the order of their arrival: `ready` backwards, then `arrived`.
        self.arrived: list[str | bytes] = []
        self.ready: list[str | bytes] = []
        self.queued = 0  # bytes, or characters, of them
        self.received = 0
        self.burst_at = 0.0  # when one of several messages was taken, until the loop has come round
        self.code = 0  # of the end, where `over` says that it is next
        self.reason = ""
        self.subscriber: Subscriber | None = None  # where the application is offered broadcasts
        # the answer to the handshake, and the record
        self.status = 0
        self.headers = ()
        self.expected = -1
        self.sent = 0
        self.recorded = PENDING if context.records.kept else COUNTED
        self.calling = False
        self.started_at = context.runtime.now() if context.records.kept else 0.0

    # -- towards the connection

    def message_received(self, message: str | bytes) -> bool:
        self.arrived.append(message)
        self.queued += len(message)
        self.received += len(message)
        return self.queued < QUEUE_BYTES and len(self.arrived) + len(self.ready) < self.max_queue

    def pending(self) -> bool:
        return bool(self.ready or self.arrived)

    def closed(self, code: int, reason: str) -> None:
        self.gone = True
        self.end(code, reason)

    def writable(self) -> None:
        if self.subscriber is not None:
            self.subscriber.writable()
        self.wake()

    def disconnected(self, status: int) -> None:
        """Before the handshake was answered: the peer is gone, or the server answered `status` itself."""
        self.gone = True
        if status:
            self.status = status
            self.sent = self.connection.answered
        self.end(1006, "")

    def peer_closed(self) -> None:
        self.disconnected(0)

    def end(self, code: int, reason: str) -> None:
        """Ends the exchange: the application is told after it has read what came before."""
        if not self.over:
            self.over = True
            self.code = code
            self.reason = reason
        if self.subscriber is not None:
            self.subscriber.ended()
        self.record()
        self.wake()

    # -- towards the application

    def take(self) -> Message | None:
        if self.ready or self.arrived:
            if self.connect_given:
                return self.take_message()
        elif self.over and self.connect_given:
            return {"type": "websocket.disconnect", "code": self.code, "reason": self.reason}
        if not self.connect_given:
            self.connect_given = True
            return {"type": "websocket.connect"}
        return None

    def take_message(self) -> Message:
        """The oldest message that waits."""
        if self.ready:
            data = self.ready.pop()
        elif len(self.arrived) == 1:
            data = self.arrived.pop()
        else:
            self.arrived.reverse()
            self.arrived, self.ready = self.ready, self.arrived
            data = self.ready.pop()
        self.queued -= len(data)
        if not self.burst_at and (self.ready or self.arrived):
            self.burst_at = self.runtime.now()
            self.runtime.call_soon(self.loop_came_round)
        message = RECEIVE.copy()
        message["text" if type(data) is str else "bytes"] = data
        return message

    def loop_came_round(self) -> None:
        """Others had their turn since the application began with the messages that wait."""
        self.burst_at = 0.0

    def should_yield(self) -> bool:
        return self.burst_at > 0 and self.runtime.now() - self.burst_at > TURN_SECONDS

    def perform(self, message: Message) -> object:
        return self.take_up(message if type(message) is dict else as_dict(message))

    def take_up(self, message: Message) -> object:
        """A message of the application's, as `send` got it."""
        kind = message.get("type")
        state = self.state
        if self.gone and state != CLOSED:
            raise ClientDisconnected("the client is gone")
        if same_text(kind, "websocket.send"):
            if state == CONNECTED:
                return self.send_message(message)
        elif same_text(kind, "websocket.close"):
            if state == CONNECTED or state == CONNECTING:
                self.send_close(message)
                return DONE
        elif same_text(kind, "websocket.accept"):
            if state == CONNECTING:
                self.send_accept(message)
                return DONE
        elif same_text(kind, "websocket.http.response.start"):
            if state == CONNECTING:
                self.send_start(message)
                return DONE
        elif same_text(kind, "websocket.http.response.body") and state == DENYING:
            return self.send_body(message)
        raise UnexpectedMessageError(kind, STATE_NAMES[state])

    def send_message(self, message: Message) -> object:
        """A message: `text` or `bytes`, the other one absent or None."""
        data = message.get("text")
        if data is None:
            data = message.get("bytes")
            if data is None:
                raise ValueError("websocket.send needs text or bytes")
            if type(data) is not bytes:
                data = to_bytes(data)
        elif message.get("bytes") is not None:
            raise ValueError("websocket.send takes text or bytes, not both")
        elif type(data) is not str:
            data = to_text(data)
        socket = self.socket
        assert socket is not None  # it is there since CONNECTED
        if socket.send_message(data):
            return DONE
        return Drain(self)

    def send_accept(self, message: Message) -> None:
        """Accepts the handshake. Raises ValueError for a subprotocol that was not offered, and for fields that are
        the server's."""
        headers: list[tuple[bytes, bytes]] = []
        for index, item in enumerate(message.get("headers") or ()):
            name, value = plain_field(item, index)
            if name.lower() in OWN_FIELDS:
                raise ValueError(f"Invalid additional header, {name!r}")
            headers.append((name, value))
        handshake, settings = self.handshake, self.context.websocket
        assert handshake is not None
        assert settings is not None
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            if subprotocol not in handshake.subprotocols:
                raise ValueError(f"Invalid Subprotocol: {subprotocol!r} was not offered")
            headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
        extension = None
        compression = settings.compression
        if compression is not None and handshake.extensions:
            agreed = compression.agree(handshake.extensions)
            if agreed is not None:
                field, extension = agreed
                headers.append((b"sec-websocket-extensions", field))
        connection: Any = self.connection.accept(self, headers, extension)
        self.socket = connection
        self.connection = connection
        self.state = CONNECTED
        self.status = connection.accepted
        self.headers = headers
        self.handshake = None
        connection.begin()

    def send_close(self, message: Message) -> None:
        """Ends the WebSocket, or refuses the handshake with 403. The application is told of the end all the same."""
        code = message.get("code")
        if code is None:
            code = 1000
        reason = message.get("reason") or ""
        if self.state == CONNECTING:
            self.answer_403()
            code = 1006
        else:
            if code != 1005 and (type(code) is not int or not 0 <= code < 65536 or not is_close_code(code)):
                raise ValueError(f"not a close code: {code!r}")
            self.state = CLOSED
            assert self.socket is not None  # it is there since CONNECTED
            self.socket.close(code, reason)
        self.drop_queue()
        self.gone = True
        self.end(code, reason)

    def answer_403(self) -> None:
        """Refuses the handshake."""
        self.state = CLOSED
        self.status = 403
        self.connection.start(self, 403, ((b"content-length", b"0"),), False)
        self.connection.body(self, b"", True)

    def drop_queue(self) -> None:
        """Nobody wants the messages that wait."""
        self.arrived.clear()
        self.ready.clear()
        self.queued = 0

    def send_start(self, message: Message) -> None:
        """Refuses the handshake with a response of the application's: its head, which leaves with the body."""
        status = message["status"]
        if not isinstance(status, int) or status < 200 or status > 999:
            raise ValueError(f"not a final HTTP status: {status!r}")
        headers = message.get("headers") or ()
        if not isinstance(headers, (list, tuple)):
            headers = list(headers)
        self.expected = self.connection.start(self, status, headers, False)
        self.status = int(status)
        self.headers = headers
        self.state = DENYING

    def send_body(self, message: Message) -> object:
        """A piece of that response's body."""
        data = message.get("body", b"")
        if type(data) is not bytes:
            data = to_bytes(data)
        end = not message.get("more_body", False)
        total = self.sent + len(data)
        if self.expected >= 0:
            if total > self.expected:
                raise ValueError(f"the response body is longer than the {self.expected} bytes that it announced")
            if end and total < self.expected:
                raise ValueError(f"the response ends after {total} of the {self.expected} bytes that it announced")
        self.sent = total
        going = self.connection.body(self, data, end)
        if end:
            self.state = CLOSED
            self.gone = True
            self.end(1006, "")
        elif not going:
            return Drain(self)
        return DONE

    def call_ended(self, error: BaseException | None) -> None:
        self.leave_call()
        self.connection.finished(self)
        if error is None:
            if self.state != CLOSED and not self.gone:
                self.context.records.log_error(
                    "The application returned without closing its WebSocket (%s)", self.name()
                )
        else:
            self.log_failure(error, self.gone)
        if self.gone or self.state == CLOSED:
            return
        self.gone = True
        if self.state == CONNECTED:
            assert self.socket is not None  # it is there since CONNECTED
            self.socket.close(1011, "")
        else:
            self.status = self.connection.reset(self)
            self.headers = ()
            self.sent = self.connection.answered
        self.state = CLOSED
        self.drop_queue()
        self.end(1011, "")

    def record(self) -> None:
        if self.socket is not None and self.recorded == PENDING:
            self.sent = self.socket.sent
        ASGIExchange.record(self)  # super() fails in a compiled method that overrides a C one


def to_text(data: object) -> str:
    """Text given as a subclass of str. Raises TypeError for what is no text."""
    if isinstance(data, str):
        return str(data)
    raise TypeError(f"the text of a message must be str, not {type(data).__name__}")
