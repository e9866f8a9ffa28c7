"""The parts that an HTTP exchange and a WebSocket share: the application's call, and the one access record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypercorn.asgi.call import APP_ERRORS, ASGIStream
from hypercorn.asgi.scope import connection_scope
from hypercorn.errors import ClientDisconnected

if TYPE_CHECKING:
    from hypercorn.asgi.context import ASGIContext


class Exchange(ASGIStream):
    """A stream of either kind.

    method, raw_path: of the request, whatever the application makes of its scope
    status, headers, sent: of the response, or of the answer to the handshake, for the record
    expected: bytes of body that the response announced, or -1
    calling: the application's call goes on
    counted: nothing is left to count: the exchange is over or, where its peer left before, the call is
    """

    __slots__ = (
        "calling",
        "context",
        "counted",
        "expected",
        "headers",
        "logged",
        "method",
        "raw_path",
        "received",
        "scope",
        "sent",
        "started_at",
        "status",
    )

    calling: bool
    context: ASGIContext
    counted: bool
    expected: int
    headers: Any
    logged: bool
    method: str
    raw_path: bytes
    received: int
    scope: dict[str, Any]
    sent: int
    started_at: float
    status: int

    def begin(self) -> Any:
        runtime = self.runtime
        transport = self.connection.transport
        began = transport.cork()
        since = runtime.now()
        call = runtime.spawn(self)
        runtime.stepped(since)
        if began:
            transport.end_turn()
        return call

    def call(self) -> Any:
        self.calling = True
        try:
            return self.context.app(self.scope, self.receive, self.send)
        except StopIteration as error:  # it would pass for the end of a coroutine (PEP 479)
            raise RuntimeError("the application raised StopIteration") from error

    def writable(self) -> None:
        self.wake()

    def must_wait(self) -> bool:
        return self.connection.writing_blocked(self)

    def record(self) -> None:
        """Writes the one access record of this exchange. A call that its peer has left counts until it ends."""
        if not self.logged:
            self.logged = True
            duration = self.runtime.now() - self.started_at
            if not (self.gone and self.calling):
                self.count(duration)
            if self.context.access is not None:
                # Looked at here, because a logger may make the text later, and a missing path is no exception to it.
                scope = self.scope
                if (
                    type(scope.get("path")) is not str
                    or type(scope.get("raw_path")) is not bytes
                    or type(scope.get("query_string")) is not bytes
                    or (type(scope.get("client")) is not tuple and scope.get("client", scope) is not None)
                    or not isinstance(scope.get("headers"), (list, tuple))
                    or (type(scope.get("method")) is not str and scope.get("type") != "websocket")
                ):
                    self.scope = self.mended_scope()
                try:
                    self.context.record(self, duration)
                except Exception:  # the application has removed or changed what else a record is made of
                    self.scope = self.mended_scope()
                    self.context.record(self, duration)

    def mended_scope(self) -> dict[str, Any]:
        """The scope, with what its application removed, or changed into something of another type."""
        scope = connection_scope(self.context, self.connection.transport)
        scope["method"] = self.method
        scope["raw_path"] = self.raw_path
        scope["path"] = self.raw_path.decode("latin-1")
        kept = {key: value for key, value in self.scope.items() if type(value) is type(scope.get(key))}
        if not all(type(pair) is tuple and len(pair) == 2 for pair in kept.get("headers") or ()):
            del kept["headers"]
        return {**scope, **kept}

    def name(self) -> str:
        """The request in an error record: method and path, with anything unprintable escaped."""
        return f"{self.method} {self.raw_path.decode('ascii', 'backslashreplace')}"

    def log_failure(self, error: BaseException, departed: bool) -> None:
        """One record of what the application raised; none where the server has cancelled the call, or the interpreter
        or a person ends it. `departed`: the client is gone, or has closed its side."""
        if isinstance(error, (GeneratorExit, KeyboardInterrupt)):
            return
        if self.dismissed and not isinstance(error, APP_ERRORS) and tells_of_cancellation(error):
            return
        log_failure(self.context, self.name(), error, departed)

    def count(self, duration: float) -> None:
        """Counts this exchange as one that has ended."""
        self.counted = True
        counters = self.context.counters
        if counters is not None:
            counters.ended(self.status, duration, self.sent, self.received)

    def leave_call(self) -> None:
        """The application's call is over."""
        self.calling = False
        if self.logged and not self.counted:
            self.count(self.runtime.now() - self.started_at)


def as_dict(message: Any) -> dict[str, Any]:
    """A message given as another kind of mapping. Raises TypeError for what is none."""
    if isinstance(message, Mapping):
        return dict(message)
    raise TypeError(f"an ASGI message must be a dict, not {type(message).__name__}")


def log_failure(context: ASGIContext, name: str, error: BaseException, departed: bool) -> None:
    """Writes the record of a call that raised. `departed`: the client is gone, or has closed its side."""
    if departed and tells_of_disconnect(error):
        context.logger.log_debug("The client left before the application was done (%s)", name, exc_info=error)
    else:
        context.log_exception("Error in the application (%s)", name, error)


def tells_of_disconnect(error: BaseException) -> bool:
    """True where a `ClientDisconnected` is the error, one of its causes or contexts, or in a group among these:
    frameworks raise errors of their own in its place, and task groups wrap it."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, ClientDisconnected):
            return True
        if id(one) in seen:  # chains of exceptions may go round in a circle
            continue
        seen.add(id(one))
        members = getattr(one, "exceptions", None)  # those of a group, also of a backport's
        inner = (one.__cause__, one.__context__, *(members if isinstance(members, (list, tuple)) else ()))
        waiting.extend(item for item in inner if isinstance(item, BaseException))
    return False


def tells_of_cancellation(error: BaseException) -> bool:
    """True for a loop's exception that cancels a task, and for a group of nothing else."""
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple) and members:
        return all(map(tells_of_cancellation, members))
    return type(error).__name__ in ("CancelledError", "Cancelled")


def to_bytes(data: Any) -> bytes:
    """A body given as another kind of buffer. Raises TypeError for what is none."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a response body must be bytes, not {type(data).__name__}")
