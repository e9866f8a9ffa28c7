"""A differential fuzzer of the HTTP/1.1 codec: twin against twin, cut against whole, and both against h11.

    python -m tests.fuzz.differential --inputs 1000000 --seed 7

Inputs are mutated cases of the case file. A difference is printed, and the exit status is 1.
h11 is the oracle of acceptance alone: what the twins take, h11 must take with the same content, unless a
known difference explains it (the twins are stricter on purpose, so the reverse is no finding).
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import h11
from tests.wire.cases import load
from tests.wire.play import Message, Record, bytewise, cut, play
from tests.wire.twins import TWINS

WORDS = (
    b"\r\n|\r|\n|\0| |\t|:|;|,|Host: a\r\n|Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n|"
    b"Connection: close\r\n|"
    b'Connection: upgrade\r\n|Upgrade: x\r\n|Expect: 100-continue\r\n|%41|%|?|#|http://a|*|HTTP/1.0|\x80|\x7f|"|'
    b"\\|=|@|5\r\nhello\r\n|0\r\n\r\n|5;a=b\r\n|[::1]|[1:2::3.4.5.6]|:80|ffffffffffffffff|00000000000000000000|"
    b"Proxy-A: b\r\n"
).split(b"|") + [b"x" * 300]
LIMITS: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {"max_request_line_size": 64, "max_header_size": 80, "max_header_count": 3},
    {"max_request_line_size": 100, "max_header_size": 60},
)


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with some bytes, words or pieces of others put in, taken out or doubled."""
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.randrange(1, 24))
        how = chance.randrange(7)
        if how == 0:
            data[at : at + 1] = bytes((chance.randrange(256),))
        elif how == 1:
            data[at:at] = chance.choice(WORDS)
        elif how == 2:
            del data[at:to]
        elif how == 3:
            data[at:at] = data[at:to]
        elif how == 4:
            other = chance.choice(seeds)
            data[at:] = other[chance.randrange(len(other) + 1) :]
        elif how == 5:
            data[at:to] = chance.choice(WORDS)
        else:
            data[at:at] = bytes((chance.randrange(256),)) * chance.choice((2, 17, 33, 260))
    return bytes(data)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    if chance.random() < 0.2:
        return bytewise(data)
    return cut(data, [chance.randrange(len(data) + 1) for _ in range(chance.randrange(6))])


def h11_reads(data: bytes) -> list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]]:
    """The requests that h11 completes: method, target, headers, body."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    done: list[tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]] = []
    request: h11.Request | None = None
    body = b""
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                done.append((request.method, request.target, list(request.headers), body))
                connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                connection.send(h11.EndOfMessage())
            elif event is h11.PAUSED and connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()
            else:
                return done
    except h11.ProtocolError:
        return done


def explained(data: bytes, messages: list[Message]) -> bool:
    """Whether a known difference lets the twins take the last of these messages where h11 does not."""
    for message in messages[:-1]:
        facts = message.facts
        # h11 reads nothing after these, nor after empty lines between requests
        if facts["http_version"] == "1.0" or not facts["keep_alive"] or facts["upgrade"]:
            return True
        if facts["content_length"] > 0 or b"\r\n\r\n\r\n" in data:
            return True
    facts = messages[-1].facts
    # h11 takes no empty elements in Transfer-Encoding, and makes no field of an old request target's host
    if any(name.lower() == b"transfer-encoding" and b"," in value for name, value in facts["headers"]):
        return True
    if facts["http_version"] == "1.0" and b"://" in facts["raw_target"]:
        return True
    # h11 takes no blanks before the first semicolon of a chunk's line
    return bool(facts["chunked"] and re.search(rb"[0-9A-Fa-f][ \t]+;", data))


def against_h11(data: bytes, record: Record) -> str | None:
    """What the twins took and h11 did not take like that; None when there is nothing."""
    theirs = h11_reads(data.lstrip(b"\r\n"))
    for index, message in enumerate(record.complete):
        facts = message.facts
        if explained(data, record.messages[: index + 1]):
            return None
        if index >= len(theirs):
            return f"only the twins took request {index}: {facts['method']} {facts['raw_target']!r}"
        method, target, headers, body = theirs[index]
        if (method, target, body) != (facts["method"].encode(), facts["raw_target"], message.body):
            return f"h11 read request {index} as {method!r} {target!r} {body!r}"
        ours = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in facts["headers"]]
        if headers != ours:
            return f"h11 read the fields of request {index} as {headers!r}"
    return None


def findings(inputs: int, seed: int, tell: Callable[[int], None] | None = None) -> Iterator[str]:
    """Runs, and yields a line for every difference."""
    chance = random.Random(seed)
    seeds = [case.raw for case in load() if 0 < len(case.raw) < 3000]
    for count in range(inputs):
        data = mutated(chance, seeds)
        limits: dict[str, Any] = chance.choice(LIMITS)
        records = {}
        for name, module in TWINS.items():
            records[f"{name}, whole"] = play(module.RequestParser(**limits), [data])
            records[f"{name}, cut"] = play(module.RequestParser(**limits), pieces(chance, data))
        first = records["pure, whole"]
        for name, record in records.items():
            if record != first:
                yield f"{data!r} with {limits}\n  {name}: {record}\n  pure, whole: {first}"
                break
        difference = against_h11(data, first)
        if difference is not None:
            yield f"{data!r}\n  {difference}"
        if tell is not None and count % 10_000 == 0:
            tell(count)


def main() -> int:
    parser = argparse.ArgumentParser(description="Differential fuzzing of the HTTP/1.1 codec.")
    parser.add_argument("--inputs", type=int, default=100_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers")
    parser.add_argument("--findings", type=int, default=5, help="stop after so many differences")
    options = parser.parse_args()
    found = 0
    for line in findings(options.inputs, options.seed, lambda count: print(count, file=sys.stderr)):
        print(line)
        found += 1
        if found == options.findings:
            break
    print(f"{options.inputs} inputs, {found} differences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
