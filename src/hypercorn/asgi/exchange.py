"""What an HTTP request and a WebSocket have in common, as an application sees them: its call, and the one record."""

from __future__ import annotations

from collections.abc import Mapping
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from hypercorn.asgi.call import ASGIStream, new_call, receive_of, send_of
from hypercorn.errors import ClientDisconnected

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext


class Exchange(ASGIStream):
    """A stream of either kind.

    status, headers, sent: of the response, or of the answer to the handshake, for the record
    expected: bytes of body that the response announced, or -1
    """

    __slots__ = ("context", "expected", "headers", "logged", "received", "scope", "sent", "started_at", "status")

    context: ASGIContext
    expected: int
    headers: Any
    logged: bool
    received: int
    scope: dict[str, Any]
    sent: int
    started_at: float
    status: int

    def begin(self) -> Any:
        return self.runtime.spawn(new_call(self))

    def call(self) -> Any:
        self.connection.began(self)
        try:
            coroutine = self.context.app(self.scope, receive_of(self), send_of(self))
            if type(coroutine) is not CoroutineType and not hasattr(coroutine, "send"):
                coroutine = coroutine.__await__()
        except StopIteration as error:  # it would pass for the end of a coroutine (PEP 479)
            raise RuntimeError("the application raised StopIteration") from error
        return coroutine

    def writable(self) -> None:
        self.wake()

    def must_wait(self) -> bool:
        return self.connection.writing_blocked(self)

    def record(self) -> None:
        """Writes the one access record of this exchange."""
        if not self.logged:
            self.logged = True
            duration = self.runtime.now() - self.started_at
            counters = self.context.counters
            if counters is not None:
                counters.ended(self.status, duration, self.sent, self.received)
            if self.context.access is not None:
                self.context.record(self, duration)


def as_dict(message: Any) -> dict[str, Any]:
    """A message given as another kind of mapping. Raises TypeError for what is none."""
    if isinstance(message, Mapping):
        return dict(message)
    raise TypeError(f"an ASGI message must be a dict, not {type(message).__name__}")


def tells_of_disconnect(error: BaseException) -> bool:
    """True for `ClientDisconnected`, for a group of nothing else, and for a framework's own word for it, raised in
    its place (Starlette's ClientDisconnect)."""
    if isinstance(error, ClientDisconnected):
        return True
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple) and members:
        return all(map(tells_of_disconnect, members))
    return "Disconnect" in type(error).__name__ and isinstance(error.__cause__ or error.__context__, ClientDisconnected)


def to_bytes(data: Any) -> bytes:
    """A body given as another kind of buffer. Raises TypeError for what is none."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a response body must be bytes, not {type(data).__name__}")
