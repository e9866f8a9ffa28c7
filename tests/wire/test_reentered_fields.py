"""Code of an application that runs while its header fields are read may send another response meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from hypercorn.wire.http2_writer import FieldLines

FIELDS = [(b"x-a", b"1"), (b"content-length", b"5"), (b"date", b"now"), (b"x-b", b"2" * 3000)]
# Longer than the first buffer of an encoder and with other fields that the server has to know.
OTHERS = [(b"server", b"other"), (b"connection", b"close"), *((b"x-%d" % number, b"v" * 900) for number in range(40))]
Reenter = Callable[[], object]


def generator(reenter: Reenter) -> Any:
    def fields() -> Iterator[Any]:
        for field in FIELDS:
            reenter()
            yield field
        reenter()

    return fields()


def list_of_its_own(reenter: Reenter) -> Any:
    class Fields(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for field in super().__iter__():
                reenter()
                yield field

        def __len__(self) -> int:
            reenter()
            return super().__len__()

    return Fields(FIELDS)


def sequence(reenter: Reenter) -> Any:
    """What `iter` takes by its items alone."""

    class Fields:
        def __getitem__(self, index: int) -> Any:
            reenter()
            return FIELDS[index]

    return Fields()


def pairs_of_their_own(reenter: Reenter) -> Any:
    class Pair(tuple[Any, ...]):
        __slots__ = ()

        def __iter__(self) -> Iterator[Any]:
            for part in super().__iter__():
                reenter()
                yield part

        def __len__(self) -> int:
            reenter()
            return super().__len__()

        def __getitem__(self, index: Any) -> Any:
            reenter()
            return super().__getitem__(index)

    return [Pair(field) for field in FIELDS]


def lists_of_their_own(reenter: Reenter) -> Any:
    class Pair(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            for part in super().__iter__():
                reenter()
                yield part

        def __len__(self) -> int:
            reenter()
            return super().__len__()

    return [Pair(field) for field in FIELDS]


def bytes_of_their_own(reenter: Reenter) -> Any:
    class Octets(bytes):
        def __bytes__(self) -> bytes:
            reenter()
            return bytes.__getitem__(self, slice(None))

        def __hash__(self) -> int:
            reenter()
            return bytes.__hash__(self)

        def __eq__(self, other: object) -> bool:
            reenter()
            return bytes.__eq__(self, other)

        def __len__(self) -> int:
            reenter()
            return bytes.__len__(self)

        def __iter__(self) -> Iterator[int]:
            reenter()
            return bytes.__iter__(self)

    return [(Octets(name), Octets(value)) for name, value in FIELDS]


KINDS = pytest.mark.parametrize(
    "kind", [generator, list_of_its_own, sequence, pairs_of_their_own, lists_of_their_own, bytes_of_their_own]
)


class Once:
    """Runs something again and again, but not within itself."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.what = what
        self.inside = False
        self.times = 0

    def __call__(self) -> None:
        if not self.inside:
            self.inside = True
            self.times += 1
            self.what()
            self.inside = False


@KINDS
def test_the_fields_of_http1(twin: ModuleType, kind: Any) -> None:
    plain = twin.FieldEncoder()
    expected = plain.encode(FIELDS)
    others = twin.FieldEncoder().encode(OTHERS)
    encoder = twin.FieldEncoder()

    def again() -> None:
        assert encoder.encode(list(OTHERS)) == others
        assert (encoder.content_length, encoder.has_date, encoder.has_server) == (-1, False, True)

    reenter = Once(again)
    for _ in range(3):
        assert encoder.encode(kind(reenter)) == expected
        for name in ("content_length", "has_date", "has_server", "close"):
            assert getattr(encoder, name) == getattr(plain, name), name
    assert encoder.encode(FIELDS) == expected  # nothing wrong was remembered
    assert encoder.encode(OTHERS) == others
    if kind is not bytes_of_their_own:
        assert reenter.times >= 3


@KINDS
@pytest.mark.parametrize(
    "bad", [(b"x y", b""), (b"x", b"\0"), (b"content-length", b"-1"), (b"content-length", b"6"), 7]
)
def test_fields_of_http1_that_are_refused(twin: ModuleType, kind: Any, bad: Any) -> None:
    """An error leaves the encoder as good as before."""
    encoder = twin.FieldEncoder()
    expected = encoder.encode(FIELDS)
    reenter = Once(lambda: encoder.encode(list(OTHERS)))

    def fields() -> Iterator[Any]:
        yield from kind(reenter)
        yield bad

    with pytest.raises((TypeError, ValueError)):
        encoder.encode(fields())
    assert encoder.encode(FIELDS) == expected
    assert encoder.content_length == 5


@KINDS
def test_the_fields_of_http2_and_http3(kind: Any) -> None:
    def shown(lines: Any) -> list[Any]:
        return [line.plain for line in lines]

    plain = FieldLines()
    expected = shown(plain.check(FIELDS))
    others = shown(FieldLines().check(OTHERS))
    lines = FieldLines()

    def again() -> None:
        assert shown(lines.check(list(OTHERS))) == others
        assert (lines.content_length, lines.has_date, lines.has_server) == (-1, False, True)
        for number in range(300):  # what was seen lately makes room
            lines.check([(b"x-%d" % number, b"%d" % reenter.times)])

    reenter = Once(again)
    for _ in range(3):
        assert shown(lines.check(kind(reenter))) == expected
        for name in ("content_length", "has_date", "has_server"):
            assert getattr(lines, name) == getattr(plain, name), name
    assert shown(lines.check(FIELDS)) == expected
    assert reenter.times >= 3
