"""`hypercorn trace FILE`: a trace as people read it, one line for each event, headers below."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import TypeAlias

from hypercorn.supervisor.exit_codes import EXIT_USAGE

MARKS = {"in": ">", "out": "<"}
Event: TypeAlias = "dict[str, object]"


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="hypercorn trace",
        description="Shows a file that hypercorn ctl trace has written. > is from the client, < to it,"
        " = between server and application.",
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--connection", type=int, metavar="N", help="only this connection")
    parser.add_argument("--no-headers", action="store_true", help="without the lines of headers")
    return parser


def show(arguments: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        with open(options.file, encoding="utf-8") as file:
            for line in lines_of(events_of(file), options.connection, not options.no_headers):
                print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
    except OSError as error:
        print(f"hypercorn trace: error: {options.file}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except (ValueError, KeyError, TypeError) as error:
        print(f"hypercorn trace: error: {options.file}: {error}", file=sys.stderr)
        return EXIT_USAGE
    return 0


def events_of(lines: Iterable[str]) -> Iterator[Event]:
    """The events of a file. Raises ValueError for what is no trace."""
    begun = False
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError(f"line {number} is no event of a trace") from None
        if not isinstance(event, dict) or (not begun and "hypercorn_trace" not in event):
            raise ValueError("no file of hypercorn ctl trace")
        begun = True
        yield event
    if not begun:
        raise ValueError("the file is empty")


def lines_of(events: Iterable[Event], connection: int | None = None, headers: bool = True) -> Iterator[str]:
    """The lines of a trace."""
    started = 0.0
    # Workers answer one after the other: their events are put in order here.
    for event in sorted(events, key=time_of):
        if "hypercorn_trace" in event:
            started = number_of(event.get("started"))
            clients = ", ".join(map(str, list_of(event.get("clients"))))
            yield printable(f"trace of {clients}, {number_of(event.get('seconds')):g} seconds")
            continue
        if event["what"] == "trace ended":
            yield printable(f"ended: {event.get('reason')}")
            continue
        if connection is not None and event.get("connection") != connection:
            continue
        number = event.get("connection")
        place = f"{event.get('worker')}#{'-' if number is None else number}"
        mark = MARKS.get(str(event.get("way")), "=" if "call" in event else "*")
        yield printable(f"{number_of(event['at']) - started:9.4f}  {place:<10} {mark} {sentence(event)}")
        if headers:
            for field in (*list_of(event.get("headers")), *list_of(event.get("trailers"))):
                name, value = list_of(field)
                yield printable(f"{'':24}{name}: {value}")


def time_of(event: Event) -> float:
    """When an event was: the head comes before all, the end after."""
    if "hypercorn_trace" in event:
        return -inf
    return number_of(event["at"]) if "at" in event else inf


def number_of(value: object) -> float:
    """A number of the file, 0 for what is none."""
    return float(value) if isinstance(value, (int, float)) else 0.0


def list_of(value: object) -> list[object]:
    """A list of the file, an empty one for what is none."""
    return value if isinstance(value, list) else []


def sentence(event: Event) -> str:
    """An event in words."""
    what = event["what"]
    if what == "request":
        return f"{event['method']} {event['target']} HTTP/{event['version']}"
    if what == "response":
        return f"HTTP/1.1 {event['status']} {event['reason']}".rstrip()
    if what == "frame":
        return frame_text(event)
    if what in ("body", "bytes"):
        return f"{what}, {event['size']} bytes" + (f": {event['excerpt']}" if "excerpt" in event else "")
    if what == "open":
        over = ", ".join(str(event[key]) for key in ("tls", "alpn") if event.get(key))
        return f"open from {address(event.get('client'))} to {address(event.get('server'))}" + (over and f", {over}")
    if what == "call":
        words = [event["kind"], event["method"], event["path"]]
        return f"call {event['call']}: {' '.join(str(word) for word in words if word)} (HTTP/{event['http']})"
    if what in ("receive", "send", "returned", "raised"):
        rest = {key: value for key, value in event.items() if key not in ("at", "worker", "connection", "what", "call")}
        kind = rest.pop("type", "")
        return f"call {event['call']}: {what} {kind}".rstrip() + details(rest)
    rest = {key: value for key, value in event.items() if key == "error"}
    return f"{what}{details(rest)}"


def frame_text(event: Event) -> str:
    """A frame of HTTP/2 or WebSocket."""
    words = [str(event["frame"])]
    if event.get("stream"):
        words.append(f"stream {event['stream']}")
    words.append(f"{event['size']} bytes")
    if event.get("flags"):
        words.append("+".join(map(str, list_of(event["flags"]))))
    rest: Event = {key: event[key] for key in ("settings", "increment", "code", "last", "error") if key in event}
    return ", ".join(words) + details(rest)


def details(values: Event) -> str:
    """Names and values."""
    return "".join(f", {key} {value}" for key, value in values.items())


def address(value: object) -> str:
    """A socket address."""
    return ":".join(map(str, list_of(value))) or "a unix socket"


def printable(text: str) -> str:
    """Text of a client with what could control a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
