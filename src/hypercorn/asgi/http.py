"""One HTTP request and its response (ASGI HTTP specification 2.5), for every HTTP version.

Towards the application: `receive` and `send`. Towards the connection: an exchange. The rules of the messages are here;
how a response looks on the wire is the connection's affair.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypercorn.asgi.exchange import DONE, ASGIExchange, Drain, as_dict, to_bytes
from hypercorn.asgi.files import SendFile, open_path, open_range
from hypercorn.asgi.messages import COUNTED, PENDING, Message, Scope
from hypercorn.errors import ClientDisconnected, UnexpectedMessageError
from hypercorn.objects import same_text
from hypercorn.protocol.ports import Connection
from hypercorn.wire.head import RequestHead

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext

# How much of the request has come: not all of its body, all, and the application has taken it.
RECEIVING, RECEIVED, TAKEN = range(3)
# Trailer fields of the response: none announced; announced, and dropped for this client; announced, and sent.
NOT_ANNOUNCED, DROPPED, WANTED = range(3)
# What the application has sent so far.
REQUEST, STARTED, BODY, TRAILERS, COMPLETE = range(5)
STATE_NAMES = ("REQUEST", "RESPONSE", "RESPONSE", "TRAILERS", "CLOSED")
MANY_PIECES = 64
GRPC = re.compile(rb"application/grpc(?:-web(?:-text)?)?(?:\+[^;]*)?[ \t]*(?:;|$)", re.IGNORECASE)
WITHHELD = (
    ": no http.response.start came. The option pathsend is on, and a middleware that changes bodies may keep the start "
    "back until it sees a body: such middleware needs the option off"
)
NO_SCOPE: Scope = {}
QUEUE_BYTES = 262144  # of request body that wait for the application before the connection stops reading


class HTTPExchange(ASGIExchange):
    """A request and its response."""

    __slots__ = (
        "bodyless",
        "fields",
        "half_closed",
        "http_version",
        "may_push",
        "pieces",
        "queued",
        "request",
        "request_trailers",
        "state",
        "trailers",
    )

    def open(self, connection: Connection, context: ASGIContext, scope: Scope, head: RequestHead) -> None:
        """Sets all up. In place of `__init__`, which would cost a tuple of arguments at every request."""
        self.connection = connection
        self.runtime = context.runtime
        self.gone = False
        self.over = False  # it was sent whole
        self.cancelled_by_server = False
        self.waiters = None
        self.context = context
        self.scope = scope
        # the request
        self.method = head.method
        self.raw_path = head.raw_path
        self.fields = head.headers
        self.http_version = head.http_version
        self.may_push = head.may_push
        self.request = RECEIVED if head.complete else RECEIVING
        self.half_closed = False
        self.pieces: list[bytes] | None = None
        self.queued = 0
        self.received = 0
        self.request_trailers: list[tuple[bytes, bytes]] | None = None
        # the response
        self.state = REQUEST
        self.status = 0
        self.headers = ()
        self.trailers = NOT_ANNOUNCED
        self.bodyless = False
        self.expected = -1  # bytes of body that the response announced, or -1
        self.sent = 0
        # the record
        self.recorded = PENDING if context.records.kept else COUNTED
        self.calling = False
        self.started_at = context.runtime.now() if context.records.kept else 0.0

    # -- towards the connection

    def body_received(self, data: bytes, complete: bool) -> bool:
        if complete:
            self.request = RECEIVED
        if data:
            if self.pieces is None:
                self.pieces = []
            elif len(self.pieces) >= MANY_PIECES:
                self.pieces = [b"".join(self.pieces)]  # an object for every few bytes costs more than they do
            self.pieces.append(data)
            self.queued += len(data)
            self.received += len(data)
        if self.waiters:
            self.wake()
        most = self.context.limits.max_app_queue_size
        return self.queued < QUEUE_BYTES and (self.pieces is None or len(self.pieces) < most)

    def trailers_received(self, fields: list[tuple[bytes, bytes]]) -> None:
        self.request_trailers = fields

    def disconnected(self, status: int) -> None:
        self.gone = True
        self.pieces = None
        if status:
            self.answered(status)
            if self.context.records.counters is not None:
                self.context.records.counters.refused(status)
        elif self.context.records.counters is not None and not self.over:
            self.context.records.counters.requests_aborted += 1
        if not status and self.state == STARTED:
            self.status = 0  # its head was kept for the body, so nothing was sent
        self.record()
        self.wake()

    def answered(self, status: int) -> None:
        """The server gave a response of its own in place of the application's."""
        self.status = status
        self.headers = ()
        self.sent = self.connection.answered

    def peer_closed(self) -> None:
        self.half_closed = True
        self.wake()

    def server_stopping(self) -> None:
        if self.state == STARTED or self.state == BODY:
            self.half_closed = True  # what it would have to take for the same
            self.wake()

    def may_be_slow(self) -> bool:
        return is_grpc(self.fields)

    # -- towards the application

    def take(self) -> Message | None:
        if self.gone or self.over:
            return {"type": "http.disconnect"}
        pieces = self.pieces
        if pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.pieces = None
            self.queued = 0
            self.connection.body_consumed(self, len(data))
            if self.request == RECEIVED:
                return self.last_message(data)
            return {"type": "http.request", "body": data, "more_body": True}
        if self.request == RECEIVED:
            return self.last_message(b"")
        if self.request == TAKEN and self.half_closed:
            return {"type": "http.disconnect"}
        return None

    def last_message(self, data: bytes) -> Message:
        """The end of the request's body, with its trailer fields if there are any."""
        self.request = TAKEN
        message = {"type": "http.request", "body": data, "more_body": False}
        if self.request_trailers is not None:
            message["trailers"] = self.request_trailers
        return message

    def perform(self, message: Message) -> object:
        if type(message) is not dict:
            message = as_dict(message)
        if self.gone:
            raise ClientDisconnected("the client is gone")
        return self.take_message(message)

    def take_message(self, message: Message) -> object:
        """Does what a message asks for."""
        kind = message.get("type")
        state = self.state
        if same_text(kind, "http.response.body"):
            if state == STARTED or state == BODY:
                return self.send_body(message)
        elif same_text(kind, "http.response.start"):
            if state == REQUEST:
                self.send_start(message)
                return DONE
        elif same_text(kind, "http.response.trailers"):
            if self.trailers and (state == STARTED or state == BODY or state == TRAILERS):
                return self.send_trailers(message)
        elif same_text(kind, "http.response.early_hint"):
            if state == REQUEST or state == STARTED:  # the head of the response leaves with its body
                self.connection.hint(self, [(b"link", link) for link in message.get("links", ())])
                return DONE
        elif same_text(kind, "http.response.pathsend"):
            if state == STARTED:
                return self.send_file(*open_path(message), True)
        elif same_text(kind, "http.response.zerocopysend"):
            if state == STARTED or state == BODY:
                return self.send_file(*open_range(message), not message.get("more_body", False))
        elif same_text(kind, "http.response.push"):
            if state < COMPLETE and self.may_push:
                self.send_push(message)
                return DONE
        if self.half_closed:  # told of that, a framework may begin another response, which nobody would read
            raise ClientDisconnected("the client is gone")
        raise UnexpectedMessageError(kind, STATE_NAMES[state], self.why_no_start())

    def send_push(self, message: Message) -> None:
        """Promises a response of this server to a request that the client has not made."""
        path, headers = message["path"], message.get("headers", ())
        if not isinstance(path, str) or path[:1] != "/":
            raise ValueError(f"not a path: {path!r}")
        root = self.context.added_raw_path.decode()
        if root and path.startswith(root + "/"):  # the client is a proxy that takes it off
            path = path[len(root) :]
        authority = next((value for name, value in self.fields if name == b"host"), b"")
        self.connection.push(self, authority, path, list(headers))

    def send_start(self, message: Message) -> None:
        """Checks the head and keeps it: it leaves with the first piece of the body."""
        status = message["status"]
        if not isinstance(status, int) or status < 200 or status > 999:
            raise ValueError(f"not a final HTTP status: {status!r}")
        headers = message.get("headers", ())
        if not isinstance(headers, (list, tuple)):
            headers = list(headers)
        bodyless = status == 204 or status == 304 or same_text(self.method, "HEAD")
        trailers = bool(message.get("trailers", False))
        wanted = trailers and not bodyless and self.http_version != "1.0" and takes_trailers(self.fields)
        self.expected = self.connection.start(self, status, headers, wanted)
        if trailers:
            self.trailers = WANTED if wanted else DROPPED
        self.status = int(status)
        self.headers = headers
        self.bodyless = bodyless
        self.state = STARTED

    def send_body(self, message: Message) -> object:
        """A piece of the body."""
        data = message.get("body", b"")
        if type(data) is not bytes:
            data = to_bytes(data)
        end = not message.get("more_body", False)
        size = len(data)
        expected = self.expected
        if self.bodyless:
            if data and self.state == STARTED and not same_text(self.method, "HEAD"):
                self.context.records.log_warning("The body of a %d response was dropped (%s)", self.status, self.name())
            data = b""
        elif expected >= 0:
            total = self.sent + size
            if total > expected:
                self.overrun(data[: expected - self.sent])
            if end and total < expected:
                raise ValueError(f"the response ends after {total} of the {expected} bytes that it announced")
            self.sent = total
        else:
            self.sent += size
        self.state = BODY
        if not end:
            if self.connection.body(self, data, False):
                return DONE
            return Drain(self)
        self.state = TRAILERS if self.trailers else COMPLETE
        self.over = self.trailers != WANTED
        try:
            self.connection.body(self, data, True)
        except Exception:
            self.over = False  # what ends the call has to end the exchange
            raise
        if self.over:
            self.response_sent()
        return DONE

    def send_file(self, fd: int, offset: int, count: int, end: bool) -> object:
        """A piece of the body that is a range of a file; `fd` is this exchange's to close."""
        call = SendFile(self, fd, offset, count, end)
        total = self.sent + count
        if self.bodyless or count == 0 or self.trailers:
            call.release()
            if count and self.trailers:
                raise ValueError("a file cannot be sent in a response that announced trailers")
            return self.send_body({"type": "http.response.body", "more_body": not end})
        if self.expected < 0:
            if end and self.state == STARTED:
                self.connection.announce(self, count)
                self.expected = count
        elif total > self.expected or (end and total < self.expected):
            call.release()
            raise ValueError(f"the file has {count} bytes, the response announced {self.expected}")
        self.state = BODY
        return call

    def ended(self) -> None:
        """The last piece of the body was sent."""
        self.state = COMPLETE
        self.over = True
        self.response_sent()

    def overrun(self, rest: bytes) -> None:
        """The body is longer than announced: what was announced is sent, then the exchange and connection end."""
        self.sent = self.expected
        self.state = COMPLETE
        self.over = True
        self.connection.end_after(self)
        self.connection.body(self, rest, True)
        self.response_sent()
        raise ValueError(f"the response body is longer than the {self.expected} bytes that it announced")

    def send_trailers(self, message: Message) -> object:
        """Trailer fields, after the body. Dropped where the client did not ask for them (RFC 9110 section 6.5.1)."""
        if self.state != TRAILERS:
            self.send_body({"type": "http.response.body"})
        end = not message.get("more_trailers", False)
        if self.trailers == WANTED:
            self.connection.trailers(self, message.get("headers", ()), end)
        if end:
            self.state = COMPLETE
            if not self.over:
                self.over = True
                self.response_sent()
        return DONE

    def end_trailers(self) -> None:
        """The application returned after the body, though it had announced trailer fields: there are no more."""
        if not self.context.records.missing_trailers:
            self.context.records.missing_trailers = True
            self.context.records.log_warning(
                "The application announced trailers and sent none, or not the last (%s). Such responses end without;"
                " this is said once.",
                self.name(),
            )
        self.send_trailers({})

    def response_sent(self) -> None:
        """The exchange is over for the application; its task may live on."""
        self.record()
        if self.waiters:
            self.wake()

    def call_ended(self, error: BaseException | None) -> None:
        self.leave_call()
        if error is None and self.state == TRAILERS and not self.over and not self.gone:
            self.end_trailers()
        self.connection.finished(self)
        if error is None:
            if not self.over and not self.gone and not self.half_closed:  # told by a disconnect, it may return
                text = "The application returned before its response was complete (%s)" + self.why_no_start()
                self.context.records.log_error(text, self.name())
        else:
            self.log_failure(error, self.gone or self.half_closed)
        if not self.over and not self.gone:
            self.gone = True
            status = self.connection.reset(self)
            if self.state <= STARTED:
                self.answered(status)
            self.record()
            self.wake()
        if self.recorded != PENDING:  # nobody asks for it any more, and the peer may take its time to read
            self.scope = NO_SCOPE  # it was there for as long as the call

    def why_no_start(self) -> str:
        """A likely reason why no response has started, for an error text; "" once it has."""
        return WITHHELD if self.state == REQUEST and self.context.pathsend else ""


def open_exchange(connection: Connection, context: ASGIContext, scope: Scope, head: RequestHead) -> HTTPExchange:
    """The exchange of a request."""
    exchange = HTTPExchange.__new__(HTTPExchange)
    exchange.open(connection, context, scope, head)
    return exchange


def takes_trailers(headers: list[tuple[bytes, bytes]]) -> bool:
    """True where the request says `TE: trailers` (RFC 9110 section 10.1.4)."""
    for name, value in headers:
        if name == b"te" or name.lower() == b"te":
            for part in value.split(b","):
                if part.partition(b";")[0].strip(b" \t").lower() == b"trailers":
                    return True
    return False


def is_grpc(headers: list[tuple[bytes, bytes]]) -> bool:
    """True where the request is a call of gRPC or gRPC-Web, with whatever its messages are encoded in."""
    for name, value in headers:
        if name == b"content-type":
            return GRPC.match(value) is not None
    return False
