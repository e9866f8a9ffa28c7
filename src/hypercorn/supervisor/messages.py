"""Messages between the supervisor and its workers: one dataclass each, and how each travels.

On the channel a message is a line of JSON: the name of its class and its fields. The receiver gets an `Unknown` in the
place of a message whose name it does not know, and a `Malformed` in the place of what does not have that form.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any, NoReturn, TypeAlias


@dataclass(frozen=True)
class Unknown:
    """The other end sent a message whose name the receiver does not know."""

    name: str


@dataclass(frozen=True)
class Malformed:
    """The other end sent something that is no message. It is the last of its channel."""

    reason: str


# -- from a worker


@dataclass(frozen=True)
class Ready:
    """The worker accepts connections at these URLs."""

    addresses: list[str]
    announced: list[str]  # what the log says of each socket


@dataclass(frozen=True)
class Notice:
    """The worker has found something that is true for all workers, and that the log should have once, at INFO."""

    text: str


@dataclass(frozen=True)
class Heartbeat:
    """The worker's event loop runs."""


@dataclass(frozen=True)
class Recycle:
    """The worker wants to be replaced, for that reason. It serves until it is told to stop."""

    reason: str


@dataclass(frozen=True)
class Draining:
    """The worker was asked to stop and begins to drain. `reason`: what asked it, where that was not the supervisor."""

    reason: str


@dataclass(frozen=True)
class Drained:
    """The worker's last connection has ended. The application's shutdown comes next."""


@dataclass(frozen=True)
class ShutDown:
    """The application's shutdown has ended. Threads that it left running have `thread_seconds`."""

    thread_seconds: float


@dataclass(frozen=True)
class Failed:
    """The worker ends with that exit code. `text` is for the error log."""

    exit_code: int
    text: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question (`ListConnections`, `ListRequests` and so on) with the same number."""

    number: int
    value: list[dict[str, object]]


Answers: TypeAlias = "list[dict[str, Any]]"  # of several workers, as the client of the control socket gets them

# -- from the supervisor


@dataclass(frozen=True)
class Stop:
    """The worker drains and ends, after `delay` seconds in which it goes on serving. `last_owner`: no other process
    accepts what waits on its sockets. `by_hand`: somebody at a terminal waits, so idle connections end
    at once. `grace`: seconds that open requests have, where `graceful_timeout` is longer."""

    last_owner: bool
    delay: float
    by_hand: bool = False
    grace: float = inf


@dataclass(frozen=True)
class StopNow:
    """The worker ends at once."""


@dataclass(frozen=True)
class ReopenLogs:
    """The worker opens its log files anew."""


@dataclass(frozen=True)
class SetLogLevel:
    """The worker's error log has another level, such as "DEBUG"."""

    level: str


@dataclass(frozen=True)
class ListConnections:
    """The worker answers with its open connections."""

    number: int


@dataclass(frozen=True)
class ListRequests:
    """The worker answers with its requests in flight."""

    number: int


@dataclass(frozen=True)
class ListSlowRequests:
    """The worker answers with the slow requests that it remembers."""

    number: int


@dataclass(frozen=True)
class StartTrace:
    """The worker records connections of these clients for so many seconds, and answers whether it does."""

    number: int
    clients: list[str]
    seconds: float


@dataclass(frozen=True)
class FetchTrace:
    """The worker answers with the records of its trace that were not fetched."""

    number: int


@dataclass(frozen=True)
class EndTrace:
    """The worker records no more, and answers with what was not fetched."""

    number: int


@dataclass(frozen=True)
class ShowStacks:
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

# What a field takes, by its annotation.
_CHECKS: dict[str, Callable[[object], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "list[str]": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "list[dict[str, object]]": lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
}


def encode(message: WorkerMessage | SupervisorMessage) -> bytes:
    """The line that carries a message."""
    return json.dumps([type(message).__name__, asdict(message)]).encode() + b"\n"


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
    expected = {field.name: _CHECKS[str(field.type)] for field in fields(kind)}
    if values.keys() != expected.keys():
        return Malformed(f"{name} has the fields {sorted(values)}; {sorted(expected)} were expected")
    for field, fits in expected.items():
        if not fits(values[field]):
            return Malformed(f"{name} has {field} = {values[field]!r}")
    return kind(**values)


def never(message: NoReturn) -> NoReturn:
    """Lets the type checker prove that a dispatch leaves no message out."""
    raise AssertionError(f"no case for {message!r}")
