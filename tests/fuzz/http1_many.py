"""Millions of short HTTP/1.1 inputs through both twins of the codec: made to be fast, to run for hours.

    python -m tests.fuzz.http1_many --inputs 50000000 --seed 1 --log many.log

Half of the inputs are written by a grammar with faults in it, half are mutations of a pool: the case file, and every
input whose outcome had a shape that was not seen before. Each goes through the pure and the compiled twin, which must
say the same, event by event; one in eight also in pieces, of which both twins must make what they make of the whole;
one in 128 through h11 as well, the oracle of `differential.py`. A difference is printed, logged, and the status is 1.
The log gets a line of JSON for every million inputs: counts, the share of inputs that came for the first time (by a
sample of their hashes), the rate.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.fuzz.differential import WORDS, against_h11
from tests.wire.cases import load
from tests.wire.play import BODY, ERROR, FACTS, HEAD, bytewise, cut, play
from tests.wire.twins import TWINS

_FACTS = attrgetter(*FACTS, "complete")
_REFUSAL = attrgetter("error.status", "error.reason", "method", "raw_target")
_STATE = attrgetter("idle", "in_body", "body_remaining")
_SHAPE = attrgetter("http_version", "keep_alive", "chunked", "expect_continue", "complete")
_REFUSED = 4  # facts of a refusal, see above
_LONGEST = 400  # bytes of a pool's input: many short ones find more than few long ones
_POOL = 6000
_SAMPLE = 4095  # one input in 4096 is remembered, to count how many are new


def _mostly(good: bytes, bad: list[bytes], share: float = 0.04) -> list[bytes]:
    """The good ones, split at bars, repeated until the bad ones are that share of all."""
    goods = good.split(b"|")
    return goods * max(1, round(len(bad) / share / len(goods))) + bad


METHODS = _mostly(
    b"GET|GET|POST|POST|PUT|HEAD|OPTIONS|DELETE|get|M-SEARCH", [b"TRACE", b"CONNECT", b"G(T", b"", b"A" * 33]
)
TARGETS = _mostly(
    b"/|/|/a/b?c=d|/%41%zz?%20|http://a/|http://a:80/b?c|HTTP://A|//a|/?|/%c3%a4|/%ff|/" + b"p" * 90,
    b"*|HTTPS://A:443|a:1|/a#b|ftp://a/|http://a@b/|/\x80|http:///|http://[::1]:8/x|\x7f|/\t".split(b"|"),
)
VERSIONS = _mostly(b"HTTP/1.1|HTTP/1.1|HTTP/1.1|HTTP/1.0", b"HTTP/2.0|HTTP/1.2|HTTP/1.|http/1.1|HTTP/1.1 ".split(b"|"))
SPACES = _mostly(b" ", [b"  ", b"\t", b"", b"\r\n"], 0.02)
ENDS = _mostly(b"\r\n", [b"\n", b"\r", b"\r\r\n", b"", b"\r\n ", b"\0\r\n"], 0.02)
NAMES = _mostly(
    b"X|Accept|Cookie|Trailer|TE|Connection|CONNECTION|Upgrade|Proxy-Connection|Keep-Alive|Content-Type|Content_Length",
    b"Host|Content-Length|Transfer-Encoding|Expect|A b|A(|X-\x80|".split(b"|"),
    0.15,
)
VALUES = (
    b"a|a:80|a:443|[::1]|[::1]:99|[1::2::3]|a,b|a b|0|1|5|05|+5|5,5|-1|99999999999999999999|00000000000000000005|"
    b"9223372036854775807|9223372036854775808|chunked|Chunked|gzip, chunked|chunked, gzip|chunked,chunked|identity|"
    b"close|keep-alive|Keep-Alive, Upgrade|upgrade|close, x|,close,|websocket|h2c|100-continue|100-Continue|200-ok|"
    b"\x80\xff|\ta\t| |a\tb|;|"
).split(b"|") + [b"\x7f"]
PAIRS = _mostly(
    b"Content-Length: 5|Content-Length: 0|Connection: close|Transfer-Encoding: chunked|Transfer-Encoding: chunked|"
    b"Connection: upgrade|Upgrade: websocket|Expect: 100-continue|Accept: */*|User-Agent: x/1.0 (y; z)|Cookie: a=b; c",
    [b"Host: a"],
    0.05,
)
COLONS = _mostly(b": |:|:\t|: \t ", [b" :", b"", b":: "])
SIZES = _mostly(
    b"5|5|5|0005|0000000000000005",
    b"0|a|ffffffffffffffff|8000000000000000|10000000000000000|0x5|+5|g| 5|5 ".split(b"|"),
)
EXTENSIONS = _mostly(
    b'||||||;a|;a=b|;a="b"| ;a|;a = b|;a="\\""|\t;a|;a=', b';|;a="b|;;a|;a="\r\n"|;\x80=a|;a b'.split(b"|")
)
BODIES = _mostly(b"hello|\r\n\r\n\r", [b"hell", b"helloo", b"", b"h"])
Outcome = list[Any]


def _fields(random_: Callable[[], float]) -> bytes:
    """Some field lines."""
    lines = b""
    count = int(random_() * 5)
    while count:
        count -= 1
        if random_() < 0.7:
            lines += PAIRS[int(random_() * len(PAIRS))]
        else:
            lines += NAMES[int(random_() * len(NAMES))] + COLONS[int(random_() * len(COLONS))]
            lines += VALUES[int(random_() * len(VALUES))]
        lines += ENDS[int(random_() * len(ENDS))]
    return lines


def _body(random_: Callable[[], float], fields: bytes) -> bytes:
    """What the fields announce, most of the time: nothing, five bytes, or chunks with their end."""
    kind = random_()
    if kind < 0.96 and b"chunked" not in fields:
        return BODIES[int(random_() * len(BODIES))] if b"Length: 5" in fields else b""
    if kind > 0.98:
        return b""
    chunks = b""
    while random_() < 0.55:
        chunks += SIZES[int(random_() * len(SIZES))] + EXTENSIONS[int(random_() * len(EXTENSIONS))]
        chunks += ENDS[int(random_() * len(ENDS))] + BODIES[int(random_() * len(BODIES))]
        chunks += ENDS[int(random_() * len(ENDS))]
    if random_() < 0.8:
        chunks += b"0" + EXTENSIONS[int(random_() * len(EXTENSIONS))] + b"\r\n"
        if random_() < 0.3:
            chunks += _fields(random_)
        chunks += ENDS[int(random_() * len(ENDS))]
    return chunks


def written(random_: Callable[[], float]) -> bytes:
    """A request, or some, by a grammar that errs now and then."""
    data = b""
    while True:
        if random_() < 0.05:
            data += b"\r\n"
        data += METHODS[int(random_() * len(METHODS))] + SPACES[int(random_() * len(SPACES))]
        data += TARGETS[int(random_() * len(TARGETS))] + SPACES[int(random_() * len(SPACES))]
        data += VERSIONS[int(random_() * len(VERSIONS))] + ENDS[int(random_() * len(ENDS))]
        if random_() < 0.95:
            data += b"Host: a\r\n"
        fields = _fields(random_)
        data += fields + ENDS[int(random_() * len(ENDS))] + _body(random_, fields)
        if random_() < 0.85:
            return data


def mutated(random_: Callable[[], float], pool: list[bytes]) -> bytes:
    """An input of the pool with a change or more."""
    data = pool[int(random_() * len(pool))]
    while True:
        at = int(random_() * (len(data) + 1))
        how = random_()
        if how < 0.3:
            data = data[:at] + bytes((int(random_() * 256),)) + data[at + 1 :]
        elif how < 0.45:
            data = data[:at] + WORDS[int(random_() * len(WORDS))] + data[at:]
        elif how < 0.6:
            data = data[:at] + data[at + 1 + int(random_() * 12) :]
        elif how < 0.7:
            data = data[: at + int(random_() * 12)] + data[at:]
        elif how < 0.85:
            data = data[:at] + WORDS[int(random_() * len(WORDS))] + data[at + int(random_() * 12) :]
        elif how < 0.9:
            data = data[:at]
        else:
            other = pool[int(random_() * len(pool))]
            data = data[:at] + other[int(random_() * (len(other) + 1)) :]
        if random_() < 0.7:
            return data or b"\r"


def outcome(parser: Any, data: bytes) -> Outcome:
    """All that a parser says of one piece, in order."""
    said: Outcome = []
    parser.feed(data)
    while event := parser.next_event():
        if event == HEAD:
            said.append(_FACTS(parser))
        elif event == BODY:
            said.append((parser.body, parser.complete, parser.trailers if parser.complete else None))
        else:
            assert event == ERROR
            said.append(_REFUSAL(parser))
            return said
    said.append(_STATE(parser))
    return said


class Run:
    """One run: its random numbers, its pool, what it has counted."""

    def __init__(self, seed: int, twins: dict[str, ModuleType] | None = None) -> None:
        twins = TWINS if twins is None else twins
        self.chance = random.Random(seed)
        other = list(twins.values())[-1]
        self.pure = twins["pure"].RequestParser
        self.other = partial(other.RequestParser, memory=other.FieldMemory())  # a worker's connections share one
        self.pool = [case.raw for case in load() if 0 < len(case.raw) <= _LONGEST]
        self.shapes: set[Any] = set()
        self.sample: set[int] = set()
        self.sampled = self.inputs = self.in_pieces = self.by_h11 = self.refused = self.events = 0

    def limits(self) -> tuple[int, ...]:
        """Mostly the usual ones: request line, header section, field lines."""
        pick = self.chance.random()
        return () if pick < 0.9 else (64, 80, 3) if pick < 0.95 else (100, 60, 100)

    def one(self) -> str | None:
        """One input; what is wrong with it, or None."""
        random_ = self.chance.random
        data = written(random_) if random_() < 0.5 else mutated(random_, self.pool)
        if random_() < 0.1:
            data *= 2 + int(random_() * 2)  # a client sends the same again: its field lines are remembered
        limits = self.limits()
        pure = self.pure(*limits)
        said = outcome(pure, data)
        other = outcome(self.other(*limits), data)
        self.inputs += 1
        if said != other:
            return f"{data!r} with {limits}\n  pure:     {said}\n  compiled: {other}"
        last = said[-1]
        self.refused += len(last) == _REFUSED
        self.events += len(said) - 1
        shape = (len(said), last[1], _SHAPE(pure), len(pure.headers))
        if shape not in self.shapes:
            self.shapes.add(shape)
            if len(data) <= _LONGEST:
                if len(self.pool) < _POOL:
                    self.pool.append(data)
                else:
                    self.pool[int(random_() * _POOL)] = data
        if not (digest := hash(data)) & _SAMPLE:
            self.sampled += 1
            self.sample.add(digest)
        if not self.inputs & 7:
            return self.pieces(data, limits)
        return None

    def pieces(self, data: bytes, limits: tuple[int, ...]) -> str | None:
        """The same input cut up, and now and then before h11."""
        random_ = self.chance.random
        self.in_pieces += 1
        whole = play(self.other(*limits), [data])
        if random_() < 0.2:
            parts = bytewise(data)
        else:
            parts = cut(data, [int(random_() * (len(data) + 1)) for _ in range(1 + int(random_() * 3))])
        for name, make in (("compiled", self.other), ("pure", self.pure)):
            if name == "pure" and self.in_pieces & 3:
                continue
            record = play(make(*limits), parts)
            if record != whole:
                return f"{data!r} with {limits}, cut into {parts}\n  {name}: {record}\n  whole: {whole}"
        if self.in_pieces & 15:
            return None
        self.by_h11 += 1
        difference = against_h11(data, whole)
        return None if difference is None else f"{data!r} with {limits}\n  {difference}"

    def counts(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "in_pieces": self.in_pieces,
            "by_h11": self.by_h11,
            "refused": self.refused,
            "events": self.events,
            "shapes": len(self.shapes),
            "pool": len(self.pool),
            "new_share": round(len(self.sample) / self.sampled, 4) if self.sampled else None,
        }


def findings(run: Run, inputs: int, tell: Callable[[], None] | None = None) -> Iterator[str]:
    """Runs, and yields what is wrong."""
    for count in range(1, inputs + 1):
        wrong = run.one()
        if wrong is not None:
            yield wrong
        if tell is not None and not count % 1_000_000:
            tell()


def main() -> int:
    parser = argparse.ArgumentParser(description="Millions of short inputs through both twins of the HTTP/1.1 codec.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--findings", type=int, default=20, help="stop after so many differences")
    parser.add_argument("--log", type=Path, default=Path("http1_many.log"), help="counts and differences, appended")
    options = parser.parse_args()
    if len(TWINS) < 2:
        parser.error("the compiled codec was not built: there is nothing to compare")
    run, found, begun = Run(options.seed), 0, time.monotonic()

    def note(text: str) -> None:
        with options.log.open("a", encoding="utf-8") as log:
            log.write(text + "\n")

    def tell() -> None:
        seconds = time.monotonic() - begun
        figures = {**run.counts(), "differences": found, "seconds": round(seconds), "cpu": round(time.process_time())}
        note(json.dumps({"seed": options.seed, **figures, "per_second": round(run.inputs / seconds)}))

    try:
        for wrong in findings(run, options.inputs, tell):
            found += 1
            note(wrong)
            print(wrong)
            if found == options.findings:
                break
    except KeyboardInterrupt:  # what was done until then counts
        pass
    tell()
    print(f"{run.inputs} inputs, {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
