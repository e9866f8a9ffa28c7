"""Checks an application against the ASGI specification, message by message (option `validate_app`).

It stands between the server and the application, so nothing of it runs where the option is off. What breaks a rule
raises SpecificationError at the `await send(...)` that broke it, and once more at the end of the call where the
application has caught that: a mistake that a framework swallows is still a failed request with a record in the log.
Each error ends with the rule and the section that has it. Sections are those of "HTTP & WebSocket ASGI Message Format"
2.5, of "Lifespan Protocol" 2.0, and of the main specification 3.0 (asgi.readthedocs.io).

Not checked, because middleware lives by it: keys of a scope or a message that no specification knows.

WSGI applications are checked by `wsgiref.validate` of the standard library (PEP 3333).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from wsgiref.validate import validator

from hypercorn.asgi.loading import ASGIWrapper
from hypercorn.asgi.messages import Message, Receive, Scope, Send
from hypercorn.asgi.wsgi import WSGIWrapper
from hypercorn.errors import SpecificationError

__all__ = ("ASGIValidator", "validated")


LARGEST = 2**63 - 1
MAX_DEPTH = 16  # of lists and dicts in a message
CLOSE_REASON_BYTES = 123  # RFC 6455 section 5.5
BODYLESS = (204, 304)

# Every rule in one sentence, with the section that has it.
EVENTS = (
    'A message is a dict with a str "type", and holds bytes, str, int, float, lists, dicts, bool and None ("Events")'
)
APPLICATIONS = 'An application is called once for each scope, and handles its events until it returns ("Applications")'
START = 'http.response.start comes once, before the body, with an int "status" ("Response Start - send event")'
STATUS = "The status is a final one, 200 to 999, as extensions send interim ones (RFC 9110 section 15)"
HEADERS = (
    '"headers" are two-item iterables of bytes; names are in lower case, pseudo headers are not present ("{section}")'
)
BODY = 'http.response.body has bytes in "body" and a bool in "more_body", and none follows the last ("{section}")'
LENGTH = "A message body has as many octets as its Content-Length says (RFC 9110 section 8.6)"
NO_CONTENT = "A 204 or 304 response has no content (RFC 9110 sections 15.3.5 and 15.4.5)"
TRAILERS = 'http.response.trailers follows the whole body, where start had "trailers": True ("HTTP Trailers")'
EXTENSION = 'An application uses an extension only if the scope\'s "extensions" have it ("Extensions")'
HANDSHAKE = 'websocket.accept or websocket.close answers websocket.connect before anything is sent ("{section}")'
SUBPROTOCOL = 'The subprotocol is one of the scope\'s, and no header names it ("Accept - send event")'
DATA = 'websocket.send has either "bytes" or "text", and the other is None or missing ("Send - send event")'
CLOSE = 'websocket.close comes once, and nothing follows it ("Close - send event")'
CODE = "A close code that is sent is 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 section 7.4)"
REASON = "The reason of a close fits into 123 bytes of UTF-8 (RFC 6455 section 5.5)"
DENIAL = (
    'websocket.http.response.start and .body answer the handshake in the place of websocket.close ("Denial Response")'
)
LIFESPAN = (
    'Startup and shutdown are each answered once, by .complete or .failed with a str "message" ("Lifespan Protocol")'
)


def broken(what: str, rule: str, section: str = "") -> SpecificationError:
    """The error for what breaks a rule."""
    return SpecificationError(f"{what}. {rule.format(section=section)}")


def validated(wrapper: ASGIWrapper | WSGIWrapper) -> ASGIWrapper | WSGIWrapper:
    """The application behind its check."""
    if isinstance(wrapper, WSGIWrapper):
        return WSGIWrapper(validator(wrapper.app), wrapper.max_body_size)
    return ASGIWrapper(ASGIValidator(wrapper.app))


class ASGIValidator:
    """An ASGI application around another, which it checks."""

    def __init__(self, app: Callable[..., Awaitable[object]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        check = CHECKS[scope["type"]](scope)
        failure: SpecificationError | None = None

        async def checked_receive() -> Message:
            message: Message = await receive()
            check.received(message["type"])
            return message

        async def checked_send(message: Message) -> None:
            nonlocal failure
            try:
                check_message(message)
                check.sent(message)
            except SpecificationError as error:
                failure = failure or error
                raise
            await send(message)

        await self.app(scope, checked_receive, checked_send)
        if failure is not None:
            raise failure
        check.returned()


def check_message(message: object) -> None:
    """Raises SpecificationError for what is no message of ASGI."""
    if not isinstance(message, dict):
        raise broken(f"send() got {named(message)}", EVENTS)
    if not isinstance(message.get("type"), str):
        raise broken(f'The "type" of a message is {named(message.get("type"))}', EVENTS)
    for key, value in message.items():
        if key not in CHECKED_APART:
            check_value(value, f'"{key}" of {message["type"]}', MAX_DEPTH)


CHECKED_APART = frozenset(("type", "headers", "body", "bytes", "text", "file"))  # a file is an object by its extension


def check_value(value: object, name: str, depth: int) -> None:
    """Raises SpecificationError for a value that no message can hold."""
    if value is None or isinstance(value, (bytes, str, bool, float)):
        return
    if isinstance(value, int):
        if not -LARGEST - 1 <= value <= LARGEST:
            raise broken(f"{name} does not fit into 64 bits", EVENTS)
    elif isinstance(value, (list, tuple)) and depth:
        for item in value:
            check_value(item, name, depth - 1)
    elif isinstance(value, dict) and depth:
        for key, item in value.items():
            if not isinstance(key, str):
                raise broken(f"{name} has a key that is {named(key)}", EVENTS)
            check_value(item, name, depth - 1)
    else:
        raise broken(f"{name} is {named(value)}", EVENTS)


def named(value: object) -> str:
    """What a wrong value is, for an error text."""
    return "missing" if value is None else f"of type {type(value).__name__}"


def check_headers(message: Message, section: str) -> list[tuple[bytes, bytes]]:
    """The header fields of a message. Raises SpecificationError for what is no list of them."""
    headers = message.get("headers", ())
    if not isinstance(headers, Iterable) or isinstance(headers, (bytes, str, dict)):
        raise broken(f"The headers are {named(headers)}", HEADERS, section)
    if not isinstance(headers, (list, tuple)):
        headers = message["headers"] = list(headers)  # one that can be gone through once only
    found = []
    for pair in headers:
        if isinstance(pair, (bytes, str)) or not isinstance(pair, Iterable) or len(pair := list(pair)) != 2:
            raise broken(f"A header is {pair!r}", HEADERS, section)
        name, value = pair
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise broken(f"A header is {pair!r}", HEADERS, section)
        if name != name.lower():
            raise broken(f"The header name {name!r} is not in lower case", HEADERS, section)
        if name[:1] == b":":
            raise broken(f"{name!r} is a pseudo header", HEADERS, section)
        found.append((name, value))
    return found


def check_flag(message: Message, key: str, rule: str, section: str = "") -> bool:
    """A bool of a message. Raises SpecificationError for another value."""
    value = message.get(key, False)
    if not isinstance(value, bool):
        raise broken(f'"{key}" is {named(value)}', rule, section)
    return value


def check_status(message: Message, rule: str) -> int:
    """The status of a response. Raises SpecificationError for one that is none."""
    status = message.get("status")
    if not isinstance(status, int) or isinstance(status, bool):
        raise broken(f"The status is {named(status)}", rule)
    if not 200 <= status <= 999:
        raise broken(f"The status is {status}", STATUS)
    return status


class Check:
    """What is known of one call of the application."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.gone = False  # the application was told that the client is gone, so it may return at any time

    def received(self, kind: str) -> None:
        """The application got a message of this type."""
        if kind in ("http.disconnect", "websocket.disconnect"):
            self.gone = True

    def sent(self, message: Message) -> None:
        """The application sends a message. Raises SpecificationError for one that breaks a rule."""
        raise NotImplementedError

    def returned(self) -> None:
        """The application returned. Raises SpecificationError where it had more to do."""
        raise NotImplementedError

    def need_extension(self, name: str) -> None:
        """Raises SpecificationError where the scope does not offer an extension."""
        if name not in (self.scope.get("extensions") or {}):
            raise broken(f"The extension {name} is not offered for this scope", EXTENSION)


class ResponseCheck(Check):
    """One response: its head, its body, its trailers."""

    start_rule = START
    start_section = "Response Start - send event"
    body_section = "Response Body - send event"

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.state = "before its start"
        self.status = 0
        self.expected: int | None = None  # octets of content that it announced
        self.size = 0
        self.trailers = False

    def start(self, message: Message) -> None:
        """The head."""
        if self.state != "before its start":
            raise broken(f"{message['type']} came {self.state}", self.start_rule)
        self.status = check_status(message, self.start_rule)
        headers = check_headers(message, self.start_section)
        self.trailers = check_flag(message, "trailers", TRAILERS)
        lengths = {value for name, value in headers if name == b"content-length"}
        if len(lengths) > 1 or not all(value.isdigit() for value in lengths):
            raise broken(f"Content-Length is {b', '.join(sorted(lengths))!r}", LENGTH)
        self.expected = int(lengths.pop()) if lengths else None
        self.state = "in its body"

    def body(self, message: Message, size: int, more: bool) -> None:
        """A piece of the content: `size` octets."""
        if self.state != "in its body":
            raise broken(f"{message['type']} came {self.state}", BODY, self.body_section)
        self.size += size
        if size and self.status in BODYLESS:
            raise broken(f"A {self.status} response has a body of {size} bytes", NO_CONTENT)
        has_content = self.scope.get("method") != "HEAD" and self.status not in BODYLESS
        if self.expected is not None and has_content:
            if self.size > self.expected or (not more and self.size < self.expected):
                raise broken(f"The body has {self.size} bytes, Content-Length says {self.expected}", LENGTH)
        if not more:
            self.state = "after its body" if self.trailers else "after its end"

    def plain_body(self, message: Message) -> None:
        """A piece of the content, in the message."""
        data = message.get("body", b"")
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise broken(f"The body is {named(data)}", BODY, self.body_section)
        self.body(message, len(data), check_flag(message, "more_body", BODY, self.body_section))


class HTTPCheck(ResponseCheck):
    """One HTTP request."""

    def sent(self, message: Message) -> None:
        kind = message["type"]
        match kind:
            case "http.response.start":
                self.start(message)
                if self.trailers:
                    self.need_extension("http.response.trailers")
            case "http.response.body":
                self.plain_body(message)
            case "http.response.trailers":
                self.trailer_section(message)
            case "http.response.pathsend" | "http.response.zerocopysend":
                self.need_extension(kind)
                self.expected = None  # the file's size is not looked at here
                self.body(message, 0, kind.endswith("zerocopysend") and check_flag(message, "more_body", BODY))
            case "http.response.early_hint" | "http.response.push" | "http.response.debug":
                self.need_extension(kind)
            case _:
                raise broken(f"{kind!r} is no message of an HTTP response", BODY, "HTTP")

    def trailer_section(self, message: Message) -> None:
        """Trailer fields."""
        if self.state != "after its body":
            raise broken(f"http.response.trailers came {self.state}", TRAILERS)
        check_headers(message, "HTTP Trailers")
        if not check_flag(message, "more_trailers", TRAILERS):
            self.state = "after its end"

    def returned(self) -> None:
        if self.state != "after its end" and not self.gone:
            raise broken(f"The application returned with its response {self.state}", APPLICATIONS)


class WebSocketCheck(ResponseCheck):
    """One WebSocket, or the response that refuses it."""

    start_rule = DENIAL
    start_section = body_section = "Denial Response"

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.socket = "before its handshake was answered"

    def sent(self, message: Message) -> None:
        kind = message["type"]
        match kind:
            case "websocket.accept":
                self.accept(message)
            case "websocket.send":
                if self.socket != "open":
                    raise broken(f"websocket.send came {self.socket}", HANDSHAKE, "Accept - send event")
                self.data(message)
            case "websocket.close":
                self.close(message)
            case "websocket.http.response.start":
                self.need_extension("websocket.http.response")
                if self.socket != "before its handshake was answered":
                    raise broken(f"{kind} came {self.socket}", DENIAL)
                self.start(message)
                self.socket = "after it was refused"
            case "websocket.http.response.body":
                self.plain_body(message)
            case _:
                raise broken(f"{kind!r} is no message of a WebSocket", HANDSHAKE, "WebSocket")

    def accept(self, message: Message) -> None:
        """The handshake is accepted."""
        if self.socket != "before its handshake was answered":
            raise broken(f"websocket.accept came {self.socket}", HANDSHAKE, "Accept - send event")
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self.scope.get("subprotocols", ()):
            raise broken(f"The subprotocol {subprotocol!r} was not offered", SUBPROTOCOL)
        for name, _ in check_headers(message, "Accept - send event"):
            if name == b"sec-websocket-protocol":
                raise broken("A header names the subprotocol", SUBPROTOCOL)
        self.socket = "open"

    def data(self, message: Message) -> None:
        """A message to the client."""
        data, text = message.get("bytes"), message.get("text")
        if (data is None) == (text is None):
            raise broken("It has both bytes and text" if text is not None else "It has neither bytes nor text", DATA)
        if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
            raise broken(f'"bytes" is {named(data)}', DATA)
        if text is not None and not isinstance(text, str):
            raise broken(f'"text" is {named(text)}', DATA)

    def close(self, message: Message) -> None:
        """The end, or a refusal."""
        if self.socket not in ("open", "before its handshake was answered"):
            raise broken(f"websocket.close came {self.socket}", CLOSE)
        code, reason = message.get("code", 1000), message.get("reason")
        if not isinstance(code, int) or isinstance(code, bool):
            raise broken(f"The close code is {named(code)}", CODE)
        if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise broken(f"The close code is {code}", CODE)
        if reason is not None and not isinstance(reason, str):
            raise broken(f"The reason is {named(reason)}", REASON)
        if len((reason or "").encode()) > CLOSE_REASON_BYTES:
            raise broken(f"The reason has {len((reason or '').encode())} bytes", REASON)
        self.socket = "after it was closed"

    def returned(self) -> None:
        if self.gone:
            return
        if self.socket == "before its handshake was answered":
            raise broken(f"The application returned {self.socket}", HANDSHAKE, "Connect - receive event")
        if self.socket == "after it was refused" and self.state != "after its end":
            raise broken(f"The application returned with its response {self.state}", DENIAL)


class LifespanCheck(Check):
    """The lifespan."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self.stage = ""  # the event that waits for its answer
        self.failed = False

    def received(self, kind: str) -> None:
        self.stage = kind

    def sent(self, message: Message) -> None:
        kind = message["type"]
        if not self.stage or kind not in (f"{self.stage}.complete", f"{self.stage}.failed"):
            raise broken(f"{kind!r} does not answer {self.stage or 'an event'}", LIFESPAN)
        if not isinstance(message.get("message", ""), str):
            raise broken(f'"message" is {named(message["message"])}', LIFESPAN)
        self.failed = kind.endswith("failed")
        self.stage = ""

    def returned(self) -> None:
        """One that returns without an answer does not know the lifespan; the option `lifespan` says what that means."""


CHECKS: dict[str, Callable[[Scope], Check]] = {
    "http": HTTPCheck,
    "websocket": WebSocketCheck,
    "lifespan": LifespanCheck,
}
