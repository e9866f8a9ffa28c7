"""The twins of the WebSocket codec against each other and against wsproto, on made-up and broken input."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.play import cut
from tests.wire.websocket_frames import CLOSE, ERROR, MESSAGE, PING, PONG, PURE, TWINS, close, frame, play
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

TEXTS = st.one_of(st.text(max_size=300).map(str.encode), st.binary(max_size=300))
FRAMES = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 8, 9, 10, 3, 11]),
    TEXTS,
    fin=st.booleans(),
    rsv=st.sampled_from([0] * 20 + [1, 2, 4]),
    mask=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=4, max_size=4), st.none()),
)
GOOD = st.one_of(
    st.builds(frame, st.sampled_from([1, 2, 9, 10]), st.text(max_size=30).map(str.encode)),
    st.builds(lambda a, b: frame(1, a, fin=False) + frame(9, b"x") + frame(0, b), TEXTS, TEXTS),
    st.builds(close, st.integers(0, 6000), TEXTS.filter(lambda data: len(data) <= 123)),
)
INPUTS = st.lists(st.one_of(GOOD, GOOD, FRAMES, st.binary(max_size=12)), max_size=8).map(b"".join)
COUNT = settings(max_examples=400, deadline=None)


def by_wsproto(raw: bytes) -> list[tuple[Any, ...]]:
    """The events that wsproto sees, up to its first error."""
    protocol = FrameProtocol(client=False, extensions=[])
    events: list[tuple[Any, ...]] = []
    pieces: list[Any] = []
    protocol.receive_bytes(raw)
    try:
        for each in protocol.received_frames():
            if each.opcode is Opcode.CLOSE:
                events.append((CLOSE, int(each.payload[0]), each.payload[1] or ""))
                break
            if each.opcode in (Opcode.PING, Opcode.PONG):
                events.append((PING if each.opcode is Opcode.PING else PONG, bytes(each.payload)))
                continue
            pieces.append(each.payload)
            if each.message_finished:
                joined = "".join(pieces) if isinstance(pieces[0], str) else b"".join(map(bytes, pieces))
                events.append((MESSAGE, joined))
                pieces = []
    except ParseFailed as error:
        events.append((ERROR, int(error.code)))
    return events


@pytest.mark.skipif(len(TWINS) < 2, reason="the compiled codec was not built")
@COUNT
@given(INPUTS, st.lists(st.integers(0, 5000), max_size=10), st.sampled_from([0, 0, 50]))
def test_the_twins_agree(raw: bytes, places: list[int], limit: int) -> None:
    outcomes = {name: play(module.FrameParser(limit, limit), cut(raw, places)) for name, module in TWINS.items()}
    assert outcomes["pure"] == outcomes["compiled"]
    assert outcomes["pure"] == play(PURE.FrameParser(limit, limit), [raw])


@COUNT
@given(INPUTS)
def test_wsproto_sees_the_same(raw: bytes) -> None:
    ours = [event[:2] if event[0] == ERROR else event for event in play(PURE.FrameParser(), [raw])]
    theirs = by_wsproto(raw)
    common = min(len(ours), len(theirs))
    for mine, other in zip(ours[:common], theirs[:common], strict=True):
        if CLOSE in (mine[0], other[0]) and mine != other:
            # Codes above 4999 and those that IANA registered later are the difference.
            code = other[1] if other[0] == CLOSE else mine[1]
            assert code > 4999 or code == 1014
            return
        assert mine == other
    # Of a frame whose head is not complete, one may tell the error before the other; nothing else may come of it.
    rest = theirs[len(ours) :]
    assert not rest or (len(rest) == 1 and rest[0][0] == ERROR), (ours, theirs)
