"""Frames as the server writes them, from both twins."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.wire.websocket_frames import TWINS, Frame, read_frames


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    """The codec module, one twin after the other."""
    return TWINS[request.param]


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65535, 4), (65536, 10), (70000, 10)],
)
def test_messages(twin: ModuleType, size: int, head: int) -> None:
    text, data = "é" * (size // 2) + "a" * (size % 2), b"\xff" * size
    assert len(twin.encode_message(data)) == size + head
    assert read_frames(twin.encode_message(data)) == [Frame(2, data, True, 0)]
    assert read_frames(twin.encode_message(text)) == [Frame(1, text.encode(), True, 0)]
    assert read_frames(twin.encode_compressed(data, True)) == [Frame(1, data, True, 4)]
    assert read_frames(twin.encode_compressed(data, False)) == [Frame(2, data, True, 4)]


def test_control_frames(twin: ModuleType) -> None:
    assert twin.encode_ping() == b"\x89\x00"
    assert twin.encode_ping(b"ab") == b"\x89\x02ab"
    assert read_frames(twin.encode_pong(b"x" * 125)) == [Frame(10, b"x" * 125, True, 0)]
    for encode in (twin.encode_ping, twin.encode_pong):
        with pytest.raises(ValueError, match="125"):
            encode(b"x" * 126)


def test_close(twin: ModuleType) -> None:
    assert twin.encode_close(1000) == b"\x88\x02\x03\xe8"
    assert twin.encode_close(4001, "bye") == b"\x88\x05\x0f\xa1bye"
    assert twin.encode_close(1005, "never sent") == b"\x88\x00"


@pytest.mark.parametrize("reason", ["a" * 200, "é" * 100, "a" + "é" * 100, "\U0001f600" * 50, "aa" + "€" * 60])
def test_a_long_reason_is_cut_between_characters(twin: ModuleType, reason: str) -> None:
    (frame,) = read_frames(twin.encode_close(1008, reason))
    assert 120 < len(frame.payload) <= 125
    assert reason.startswith(frame.payload[2:].decode())


def test_what_cannot_be_written(twin: ModuleType) -> None:
    for wrong in (1, None, bytearray(b"a"), ["a"]):
        with pytest.raises(TypeError):
            twin.encode_message(wrong)
    with pytest.raises(UnicodeEncodeError):
        twin.encode_message("\ud800")
    assert read_frames(twin.encode_close(1000, "\ud800")) == [Frame(8, b"\x03\xe8?", True, 0)]


def test_a_compressed_message_in_fragments(twin: ModuleType) -> None:
    assert twin.encode_fragment(b"ab", True, True, False) == b"\x41\x02ab"
    assert twin.encode_fragment(b"ab", False, True, True) == b"\xc2\x02ab"
    assert twin.encode_fragment(b"", True, False, False) == b"\x00\x00"
    assert twin.encode_fragment(b"x" * 126, False, False, True) == b"\x80\x7e\x00\x7e" + b"x" * 126


def test_a_message_that_goes_to_many_is_encoded_once(twin: ModuleType) -> None:
    text, data = "to all " * 20, b"\0" * 200
    assert twin.encode_message(text) is twin.encode_message(text)
    assert twin.encode_message(data) is twin.encode_message(data)
    assert read_frames(twin.encode_message(text)) == [Frame(1, text.encode(), True, 0)]
    large = bytes(65537)
    assert twin.encode_message(large) is not twin.encode_message(large), "nothing large is kept"
    for _ in range(2):
        with pytest.raises(TypeError):
            twin.encode_message(None)
        with pytest.raises(UnicodeEncodeError):
            twin.encode_message("\ud800")
