"""Every HTTP/1.1 case against live servers: the verdict of the file, everywhere the same, byte for byte.

No case waits for silence. Where the connection must stay open, a last request after the case's own has to be
answered; where it must end, its end is awaited; where the case is unfinished, the client half-closes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
from tests.support.live import BACKENDS, DRIVERS, Live, respond
from tests.support.peer import HEAD, Peer, request
from tests.wire.cases import Case, load

# These speak HTTP/2 to a server that offers it without TLS: tests/runtime/test_http2.py holds what comes of that.
HTTP2 = ("xp-h2-preface", "xp-h2-preface-cut")
CASES = [case for case in load() if case.layer != "websocket" and case.id not in HTTP2]
LAST = request("/last")
DATE = re.compile(rb"(?i)^date: [^\r\n]*", re.MULTILINE)
# Where the status is not the file's, and why.
DEVIATIONS = {
    "te-utf8-dotless": 400,  # no token, so the field is malformed rather than an unknown coding
    "lim-fold-flood": 400,  # the first folded line is refused already; the flood never counts
}


class Outcome(NamedTuple):
    """What became of a case on one backend."""

    wire: bytes  # all that the client got, dates masked
    statuses: list[int]  # of final responses
    complete: list[dict[str, Any]]  # requests that the application saw whole
    closed: bool


class Arena:
    """One server on each backend, whose application writes down what it sees by the client's port."""

    def __init__(self) -> None:
        self.seen: dict[int, list[dict[str, Any]]] = {}
        self.servers = {
            f"{backend} {driver}": Live(self.app, backend, lifespan="off", runtime=driver)
            for backend in BACKENDS
            for driver in DRIVERS
        }

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"]
        record = {
            "method": scope["method"],
            "target": scope["raw_path"] + (b"?" + query if query else b""),
            "version": scope["http_version"],
            "headers": [(name, value) for name, value in scope["headers"]],
            "body": b"",
            "complete": False,
        }
        self.seen.setdefault(scope["client"][1], []).append(record)
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            record["body"] += message["body"]
            if not message["more_body"]:
                break
        record["complete"] = True
        await respond(send, b"%d" % len(self.seen[scope["client"][1]]))

    def play(self, backend: str, case: Case) -> Outcome:
        live = self.servers[backend]
        with live.connect() as peer:
            port = peer.port
            self.seen.pop(port, None)  # of an earlier connection that had the same port
            stays_open = case.accept and not case.close and not case.eof
            try:
                peer.send(case.raw)
                if case.eof or case.phase == "wait":
                    peer.end()
                if stays_open:
                    self.read_responses(peer, [each["method"] for each in case.requests])
                    peer.send(LAST)
                    self.read_until_last(peer)
                else:
                    while peer.more():
                        pass
            except ConnectionError as error:
                pytest.fail(f"{case.id} on {backend}: reset ({error}) after {peer.buffer[:300]!r}")
            except TimeoutError:
                pytest.fail(f"{case.id} on {backend}: still open after {peer.buffer[:300]!r}")
            wire = peer.buffer
        seen = [record for record in self.seen.pop(port, []) if record["complete"]]
        closed = True
        if seen and seen[-1]["target"] == b"/last":
            seen.pop()
            closed = False
        methods = [each["method"] for each in seen]
        return Outcome(DATE.sub(b"date: -", wire), final_statuses(wire, methods), seen, closed)

    def read_responses(self, peer: Peer, methods: list[str]) -> None:
        """Reads until each of these requests has a final response."""
        while len(final_statuses(peer.buffer, methods)) < len(methods) and peer.more():
            pass

    def read_until_last(self, peer: Peer) -> None:
        """Reads until the answer to the last request."""
        before = len(peer.buffer)
        while len(final_statuses(peer.buffer[before:], [])) < 1 and peer.more():
            pass


def final_statuses(wire: bytes, methods: list[str]) -> list[int]:
    """The final statuses of the whole responses in what a client got; `methods` are those of the requests."""
    found: list[int] = []
    at = 0
    while at < len(wire):
        match = HEAD.match(wire, at)
        if match is None:
            return found
        at, status = match.end(), int(match[1])
        if status < 200:
            continue
        length = re.search(rb"(?im)^content-length: (\d+)", match[2])
        head = len(found) < len(methods) and methods[len(found)] == "HEAD"
        if length and not head and status not in (204, 304):
            at += int(length[1])
            if at > len(wire):
                return found
        found.append(status)
    return found


def origin(target: str) -> str:
    """A target in origin form, as an application is given it."""
    match = re.match(r"(?i)https?://[^/?#]*(.*)", target)
    if match:
        target = match[1] if match[1].startswith("/") else "/" + match[1]
    return target.removesuffix("?")


def wanted(case: Case) -> list[dict[str, Any]]:
    """The requests that the application is to see."""
    return [
        {
            "method": each["method"],
            "target": origin(each["target"]).encode("latin-1"),
            "version": each["version"],
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in each["headers"]],
            "body": each["body"].encode("latin-1"),
            "complete": True,
        }
        for each in case.requests
    ]


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    for live in arena.servers.values():
        live.stop()
        assert live.errors() == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(arena: Arena, case: Case) -> None:
    outcomes = {backend: arena.play(backend, case) for backend in arena.servers}
    for backend, outcome in outcomes.items():
        judge(case, outcome, backend)
    first, *others = outcomes
    for other in others:
        assert outcomes[first] == outcomes[other], f"{first} and {other} differ"


def judge(case: Case, outcome: Outcome, backend: str) -> None:
    """Holds an outcome against the file."""
    where = f"on {backend}: {outcome.wire[:300]!r}"
    assert outcome.complete == wanted(case), where
    refusals = outcome.statuses[len(case.requests) :]
    if case.accept:
        last = [] if outcome.closed else [200]
        assert outcome.statuses == [200] * len(case.requests) + last, where
        if case.close is not None and not case.eof:
            assert outcome.closed is case.close, where
        return
    assert outcome.closed, where
    if case.phase == "wait" or case.eof:  # it ends before anything is decided, so 408 is right as well
        assert refusals in ([], [408], [case.status]), where
    else:
        assert refusals == [DEVIATIONS.get(case.id, case.status)], where


@cache
def ids() -> frozenset[str]:
    """The ids of all cases."""
    return frozenset(case.id for case in load())


def test_the_deviations_exist() -> None:
    assert ids() >= DEVIATIONS.keys()
