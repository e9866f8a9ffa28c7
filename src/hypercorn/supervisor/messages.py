"""Messages between the supervisor and its workers: one class each, and how each travels.

On the channel a message is a line of JSON: the name of its class and its fields. The receiver gets an `Unknown` in the
place of a message whose name it does not know, and a `Malformed` in the place of what does not have that form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NamedTuple, NoReturn, TypeAlias, get_type_hints


class Unknown(NamedTuple):
    """The other end sent a message whose name the receiver does not know."""

    name: str


class Malformed(NamedTuple):
    """The other end sent something that is no message. It is the last of its channel."""

    reason: str


# -- from a worker


class Ready(NamedTuple):
    """The worker accepts connections at these URLs."""

    addresses: list[str]
    announced: list[str]  # what the log says of each socket


class Notice(NamedTuple):
    """The worker has found something that is true for all workers, and that the log should have once, at INFO."""

    text: str


class Heartbeat(NamedTuple):
    """The worker's event loop runs."""


class Recycle(NamedTuple):
    """The worker wants to be replaced, for that reason. It serves until it is told to stop."""

    reason: str


class Draining(NamedTuple):
    """The worker was asked to stop and begins to drain. `reason`: what asked it, where that was not the supervisor."""

    reason: str


class Drained(NamedTuple):
    """The worker's last connection has ended. The application's shutdown comes next."""


class ShutDown(NamedTuple):
    """The application's shutdown has ended. Threads that it left running have `thread_seconds`."""

    thread_seconds: float


class Failed(NamedTuple):
    """The worker ends with that exit code. `text` is for the error log."""

    exit_code: int
    text: str


class Answer(NamedTuple):
    """The answer to a question (`ListConnections`, `ListRequests` and so on) with the same number."""

    number: int
    value: list[dict[str, object]]


Answers: TypeAlias = "list[dict[str, Any]]"  # of several workers, as the client of the control socket gets them

# -- from the supervisor


class Stop(NamedTuple):
    """The worker drains and ends, after `delay` seconds in which it goes on serving. `last_owner`: no other process
    accepts what waits on its sockets. `by_hand`: somebody at a terminal waits, so idle connections end
    at once. `grace`: seconds that open requests have, where `graceful_timeout` is longer."""

    last_owner: bool
    delay: float
    by_hand: bool = False
    grace: float = inf


class StopNow(NamedTuple):
    """The worker ends at once."""


class ReopenLogs(NamedTuple):
    """The worker opens its log files anew."""


class SetLogLevel(NamedTuple):
    """The worker's error log has another level, such as "DEBUG"."""

    level: str


class ListConnections(NamedTuple):
    """The worker answers with its open connections."""

    number: int


class ListRequests(NamedTuple):
    """The worker answers with its requests in flight."""

    number: int


class ListSlowRequests(NamedTuple):
    """The worker answers with the slow requests that it remembers."""

    number: int


class StartTrace(NamedTuple):
    """The worker records connections of these clients for so many seconds, and answers whether it does."""

    number: int
    clients: list[str]
    seconds: float


class FetchTrace(NamedTuple):
    """The worker answers with the records of its trace that were not fetched."""

    number: int


class EndTrace(NamedTuple):
    """The worker records no more, and answers with what was not fetched."""

    number: int


class ShowStacks(NamedTuple):
    """The worker answers with the stack of each of its threads."""

    number: int


WorkerMessage: TypeAlias = (
    Ready | Notice | Heartbeat | Recycle | Draining | Drained | ShutDown | Failed | Answer | Unknown | Malformed
)
SupervisorMessage: TypeAlias = (
    Stop
    | StopNow
    | ReopenLogs
    | SetLogLevel
    | ListConnections
    | ListRequests
    | ListSlowRequests
    | StartTrace
    | FetchTrace
    | EndTrace
    | ShowStacks
    | Unknown
    | Malformed
)

FROM_WORKER: Mapping[str, type[WorkerMessage]] = {
    one.__name__: one for one in (Ready, Notice, Heartbeat, Recycle, Draining, Drained, ShutDown, Failed, Answer)
}
FROM_SUPERVISOR: Mapping[str, type[SupervisorMessage]] = {
    one.__name__: one
    for one in (
        *(Stop, StopNow, ReopenLogs, SetLogLevel, ListConnections, ListRequests, ListSlowRequests, ShowStacks),
        *(StartTrace, FetchTrace, EndTrace),
    )
}

# What a field takes, by its type.
_CHECKS: dict[object, Callable[[object], bool]] = {
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    str: lambda value: isinstance(value, str),
    list[str]: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    list[dict[str, object]]: lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
}


def encode(message: WorkerMessage | SupervisorMessage) -> bytes:
    """The line that carries a message."""
    return json.dumps([type(message).__name__, message._asdict()]).encode() + b"\n"


def decode(line: bytes, known: Mapping[str, type[Any]]) -> Any:
    """The message that a line carries: one of the `known` types, `Unknown` or `Malformed`."""
    try:
        name, values = json.loads(line)
    except (ValueError, TypeError, RecursionError) as error:
        return Malformed(f"{line[:80]!r}: {error}")
    if not isinstance(name, str) or not isinstance(values, dict):
        return Malformed(f"{line[:80]!r}: a name and fields were expected")
    kind = known.get(name)
    if kind is None:
        return Unknown(name)
    expected = {field: _CHECKS[annotation] for field, annotation in get_type_hints(kind).items()}
    if values.keys() != expected.keys():
        return Malformed(f"{name} has the fields {sorted(values)}; {sorted(expected)} were expected")
    for field, fits in expected.items():
        if not fits(values[field]):
            return Malformed(f"{name} has {field} = {values[field]!r}")
    return kind(**values)


def never(message: NoReturn) -> NoReturn:
    """Lets the type checker prove that a dispatch leaves no message out."""
    raise AssertionError(f"no case for {message!r}")
