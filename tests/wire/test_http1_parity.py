"""The twins against each other: names, signatures, attributes. Not collected where nothing was compiled."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from tests.wire.play import FACTS
from tests.wire.twins import CODEC, COMPILED, PURE, PURE_CODEC, RUNNING_CODEC

from hypercorn.wire import tables

assert COMPILED is not None
PURE_PRIMITIVES = PURE_CODEC[CODEC.index("hypercorn.wire.http1_primitives")]
SOURCES = Path(__file__).resolve().parents[2] / "src" / "hypercorn" / "wire"


def test_names() -> None:
    for pure, compiled in zip(PURE_CODEC, RUNNING_CODEC, strict=True):
        assert sorted(compiled.__all__) == sorted(pure.__all__)
        assert all(hasattr(compiled, name) and hasattr(pure, name) for name in pure.__all__)


def test_attributes_of_the_class_that_exists_twice() -> None:
    for name in ("end", "error", "last"):
        assert getattr(COMPILED.Chunks(), name) == getattr(PURE.Chunks(), name)


def test_attribute_types() -> None:
    compiled, pure = COMPILED.RequestParser(), PURE.RequestParser()
    others = ("body", "complete", "trailers", "error", "idle", "in_body", "body_remaining")
    for name in FACTS + others:
        assert getattr(compiled, name) == getattr(pure, name), name
        assert type(getattr(compiled, name)) is type(getattr(pure, name)), name


@pytest.mark.parametrize("name", [name for name in PURE_PRIMITIVES.__all__ if name != "Chunks"])
def test_signatures(name: str) -> None:
    """The compiled module keeps no signatures, so its source is read: same parameters, same defaults."""
    source = (SOURCES / "http1_primitives.pyx").read_text(encoding="utf-8")
    match = re.search(rf"^cpdef [\w ]*\b{name}\((.*?)\)", source, re.DOTALL | re.MULTILINE)
    assert match is not None
    parts = [part.strip() for part in match[1].split(",")]
    given = [part.split()[-1].partition("=") for part in parts]
    wanted = inspect.signature(getattr(PURE_PRIMITIVES, name)).parameters.values()
    assert [(name, default) for name, _, default in given] == [
        (parameter.name, "" if parameter.default is parameter.empty else str(parameter.default)) for parameter in wanted
    ]


def test_keywords_work() -> None:
    for module in (COMPILED, PURE):
        parser = module.RequestParser(
            max_request_line_size=100, max_header_size=100, max_header_count=5, keep_case=True
        )
        assert parser.keep_case is True
        parser.feed(data=b"G")
        assert module.FieldEncoder().encode(headers=[], omit_length=True) == b""
        assert module.encode_chunk(data=b"", last=True) == module.encode_last_chunk(trailers=b"")


def test_error_codes_count_alike() -> None:
    header = SOURCES.parents[2] / "csrc" / "http1.h"
    if not header.exists():  # an installed package has no C sources
        header = Path(__file__).resolve().parents[2] / "csrc" / "http1.h"
    names = re.findall(r"^ +H1_(E_\w+),?$", header.read_text(encoding="utf-8"), re.MULTILINE)
    assert [getattr(tables, name) for name in names] == list(range(1, len(tables.ERRORS)))


def test_known_names_are_made_once() -> None:
    """The table of well-known names is found whole: each name is the same object in every request."""
    text = (Path(__file__).resolve().parents[2] / "csrc" / "http1_tables.h").read_text(encoding="utf-8")
    names = re.findall(r'"([^"]+)"', text.partition("h1_names[] = {")[2].partition("};")[0])
    assert len(names) > 100
    values = {"host": "a", "content-length": "0", "expect": "100-continue"}
    for name in names:
        if name == "transfer-encoding":
            continue
        host = "" if name == "host" else "Host: a\r\n"
        raw = f"GET / HTTP/1.1\r\n{host}{name.upper()}: {values.get(name, 'x')}\r\n\r\n".encode()
        found = []
        for _ in range(2):
            parser = COMPILED.RequestParser()
            parser.feed(raw)
            assert parser.next_event() == COMPILED.HEAD, name
            found.append(parser.headers[-1][0])
        assert found[0] == name.encode()
        assert found[0] is found[1]
