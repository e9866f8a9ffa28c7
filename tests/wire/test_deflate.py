"""permessage-deflate (RFC 7692): the table of offers and answers, both contexts, and the limit. Labels: N29, WS-16,
Q-WS-6, Q-WS-9."""

from __future__ import annotations

import os
import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.websocket_frames import read_frames

from hypercorn.wire import deflate
from hypercorn.wire.deflate import Compression, Deflate, InflateError, LongMessage, MessageTooLarge, read_offers

COMPRESSORS = {"zlib": None, "isal": deflate.find_isal()} if deflate.find_isal() else {"zlib": None}
NAME = "permessage-deflate"
BOTH = "; server_no_context_takeover; client_no_context_takeover"


@pytest.fixture(params=COMPRESSORS)
def compressor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the libraries that can compress."""
    monkeypatch.setattr(deflate, "find_isal", lambda: COMPRESSORS[request.param])
    return str(request.param)


def agree(offer: str, **settings: Any) -> str | None:
    """The answer to an offer."""
    agreed = Compression(**{"window_bits": 15, **settings}).agree([offer.encode("latin-1")])
    return None if agreed is None else agreed[0].decode().removeprefix(NAME).removeprefix("; ")


@pytest.mark.parametrize(
    ("offer", "answer"),
    {
        NAME: "",
        "Permessage-Deflate": "",
        f"x-other; a=b, {NAME}": "",
        f"{NAME}; server_no_context_takeover": "server_no_context_takeover",
        f"{NAME}; client_no_context_takeover": "client_no_context_takeover",
        f"{NAME};server_max_window_bits=10": "server_max_window_bits=10",
        f'{NAME} ; server_max_window_bits = "10"': "server_max_window_bits=10",
        f"{NAME}; server_max_window_bits=15": "server_max_window_bits=15",
        f"{NAME}; client_max_window_bits": "client_max_window_bits=15",
        f"{NAME}; client_max_window_bits=8": "client_max_window_bits=8",
        f"{NAME}; client_max_window_bits=9": "client_max_window_bits=9",
        f"{NAME}; server_max_window_bits=8, {NAME}": "",
        f"{NAME}; unknown, {NAME}; client_max_window_bits": "client_max_window_bits=15",
    }.items(),
)
def test_offers_that_are_accepted(offer: str, answer: str) -> None:
    assert agree(offer) == answer


@pytest.mark.parametrize(
    "parameters",
    [
        "unknown",
        "unknown=1",
        "server_no_context_takeover=1",
        "client_no_context_takeover=",
        "server_max_window_bits",
        "server_max_window_bits=8",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "server_max_window_bits=",
        "server_max_window_bits=1\xb2",
        "client_max_window_bits=7",
        "client_max_window_bits=99",
        "client_max_window_bits=x",
        "client_max_window_bits; client_max_window_bits",
        "server_max_window_bits=10; server_max_window_bits=11",
        "",
    ],
)
def test_offers_that_are_declined(parameters: str) -> None:
    assert agree(f"{NAME}; {parameters}") is None
    assert agree(f"{NAME}; {parameters}, {NAME}") == ""


def test_what_the_server_prefers() -> None:
    assert agree(NAME, window_bits=12) == "server_max_window_bits=12"
    assert agree(f"{NAME}; server_max_window_bits=10", window_bits=12) == "server_max_window_bits=10"
    assert (
        agree(f"{NAME}; client_max_window_bits", window_bits=12)
        == "server_max_window_bits=12; client_max_window_bits=12"
    )
    assert agree(f"{NAME}; client_max_window_bits=10", window_bits=12).endswith("; client_max_window_bits=10")  # type: ignore[union-attr]
    assert agree(NAME, no_context_takeover=True) == BOTH[2:]


@pytest.mark.parametrize("value", [b"", b",", b";", b";;=", b'a;b="', b'a;b="\\', b"\xff", b"a;=,=;", b'"', b"=" * 99])
def test_malformed_fields_offer_nothing_and_raise_nothing(value: bytes) -> None:
    assert Compression().agree([value]) is None


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_no_field_raises(values: list[bytes]) -> None:
    read_offers(values)
    Compression().agree([b"permessage-deflate;" + value for value in values])


class Peer:
    """The other side, in plain zlib."""

    def __init__(self, *, bits: int = 15, forgets: bool = False, server_bits: int = 15) -> None:
        self.bits, self.forgets = bits, forgets
        self.compressor: Any = None
        self.decompressor = zlib.decompressobj(-server_bits)

    def pack(self, data: bytes, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
        if self.compressor is None or self.forgets:
            self.compressor = zlib.compressobj(9, zlib.DEFLATED, -self.bits)
        return bytes(self.compressor.compress(data) + self.compressor.flush(mode))[:-4]

    def unpack(self, data: bytes) -> bytes:
        return self.decompressor.decompress(data + b"\0\0\xff\xff")


def extension(offer: str = NAME, **settings: Any) -> Deflate:
    agreed = Compression(**settings).agree([offer.encode()])
    assert agreed is not None
    return agreed[1]


MESSAGES = [b"", b"a", b"hello " * 100, bytes(range(256)) * 300, b"hello " * 100, os.urandom(5000), b"x" * 200_000]


@pytest.mark.usefixtures("compressor")
@pytest.mark.parametrize("bits", range(9, 16))
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("level", [1, 6, 8, 9])
def test_both_ways(bits: int, forgets: bool, level: int) -> None:
    parameters = f"; server_max_window_bits={bits}; client_max_window_bits={bits}" + (BOTH if forgets else "")
    ours = extension(NAME + parameters, level=level, window_bits=15)
    peer = Peer(bits=bits, forgets=forgets, server_bits=bits)
    for data in MESSAGES:
        assert peer.unpack(ours.deflate(data)) == data
        assert ours.inflate(peer.pack(data), 0) == data
        assert ours.inflate(peer.pack(data), len(data) or 1) == data


@pytest.mark.usefixtures("compressor")
def test_context_takeover_makes_repetitions_small() -> None:
    data = os.urandom(1000)
    keeps, forgets = extension(window_bits=12), extension(NAME + BOTH, window_bits=12)
    keeps.deflate(data), forgets.deflate(data)
    assert len(keeps.deflate(data)) < 50
    assert len(forgets.deflate(data)) > 900


@pytest.mark.usefixtures("compressor")
def test_connections_without_context_takeover_share_a_compressor() -> None:
    compression = Compression(no_context_takeover=True)
    agreed = [compression.agree([NAME.encode()]) for _ in range(2)]
    first, second = (each[1] for each in agreed if each is not None)
    peers = [Peer(), Peer()]
    for data in MESSAGES:
        assert peers[0].unpack(first.deflate(data)) == data
        assert peers[1].unpack(second.deflate(data)) == data
    assert first.compressor is None
    assert len(compression.shared) == 1


def test_q_ws_9_contexts_are_lazy() -> None:
    ours = extension()
    assert ours.compressor is None
    assert ours.inflator is None
    ours.deflate(b"x")
    assert ours.inflator is None


def test_a_message_of_many_blocks_and_a_final_block() -> None:
    peer, ours = Peer(), extension()
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    blocks = b"".join(maker.compress(b"part ") + maker.flush(zlib.Z_FULL_FLUSH) for _ in range(20))
    assert ours.inflate(blocks[:-4], 0) == b"part " * 20
    # RFC 7692 section 7.2.3.4
    assert extension().inflate(bytes([0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]), 0) == b"Hello"
    assert extension().inflate(peer.pack(b"x"), 0) == b"x"


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"\x06", b"\x01\x05\x00\x00\x00abcde", b"\x03\x00" * 5, b"\x03\x00" * 500_000]
)
def test_what_cannot_be_decompressed(data: bytes) -> None:
    with pytest.raises(InflateError):
        extension().inflate(data, 1000)


def bomb(size: int) -> bytes:
    maker = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (maker.compress(bytes(size)) + maker.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_ws16_q_ws_6_a_bomb_is_noticed_before_it_is_in_memory() -> None:
    limit = 16 * 1024 * 1024
    data = bomb(4 * limit)
    ours = extension()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge):
            ours.inflate(data, limit)
        assert tracemalloc.get_traced_memory()[1] < 2 * limit
    finally:
        tracemalloc.stop()


def test_the_limit_is_exact() -> None:
    for size in (1, 65535, 65536, 65537, 200_000):
        packed = bomb(size)
        assert len(extension().inflate(packed, size)) == size
        with pytest.raises(MessageTooLarge):
            extension().inflate(packed, size - 1 or 1) if size > 1 else extension().inflate(bomb(2), 1)


@pytest.mark.usefixtures("compressor")
def test_random_messages_both_ways() -> None:
    source = random.Random(1)
    ours, peer = extension(window_bits=10), Peer(server_bits=10)
    for _ in range(300):
        data = bytes(source.choices(b"abcdefgh\n ", k=source.randrange(3000)))
        assert peer.unpack(ours.deflate(data)) == data
        assert ours.inflate(peer.pack(data), 3000) == data


def test_level_9_is_zlibs(compressor: str) -> None:
    """The smallest result, which isal has no level for; the others are isal's where it is there."""
    of_zlib = [isinstance(Compression(level=level).new_compressor(12), type(zlib.compressobj())) for level in (1, 8, 9)]
    assert of_zlib == [compressor == "zlib", compressor == "zlib", True]


def test_a_message_that_goes_to_many_is_compressed_once() -> None:
    """Where no context is taken over; where one is, each connection has its own."""
    message = "to all " * 100
    for forgets in (True, False):
        compression = Compression(no_context_takeover=forgets)
        agreed = [compression.agree([NAME.encode()]) for _ in range(2)]
        frames = [each[1].frame(message, message.encode()) for each in agreed if each is not None]
        assert (frames[0] is frames[1]) == forgets
        assert all(Peer().unpack(each[4:] if each[1] == 126 else each[2:]) == message.encode() for each in frames)


@pytest.mark.usefixtures("compressor")
@pytest.mark.parametrize("forgets", [True, False])
@pytest.mark.parametrize(("size", "one"), [(65537, True), (1_000_000, True), (3_000_000, False)])
def test_long_messages_leave_in_one_frame_where_the_size_allows(
    monkeypatch: pytest.MonkeyPatch, size: int, one: bool, forgets: bool
) -> None:
    monkeypatch.setattr("hypercorn.wire.deflate.ONE_FRAME_BYTES", 1_500_000)
    ours = extension(no_context_takeover=forgets)
    data = random.Random(2).randbytes(size)
    message = LongMessage(ours, data, False)
    frames = []
    while not message.over:
        made = message.next_frame()
        if made:
            frames += read_frames(made)
    assert [frame.fin for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert (len(frames) == 1) == one
    assert [(frame.opcode, frame.rsv) for frame in frames] == [(2, 4)] + [(0, 0)] * (len(frames) - 1)
    packed = b"".join(frame.payload for frame in frames)
    assert zlib.decompressobj(-15).decompress(packed + b"\0\0\xff\xff") == data
    assert message.packed == []


def test_many_bombs_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is within the limit; together they are far more than was sent. Time and data make up for it."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    ours, packed, limit = extension(), bomb(1_000_000), 16_777_216
    for _ in range(33):
        ours.inflate(packed, limit)
    with pytest.raises(MessageTooLarge):
        ours.inflate(bomb(10_000_000), limit)
    ours = extension()
    for _ in range(100):  # as much as time makes up for
        ours.inflate(packed, limit)
        now += 1_000_000 / deflate.EXCESS_RATE
    ours = extension()
    data = random.Random(3).randbytes(20_000)
    for _ in range(100):  # ... and as much as data does
        ours.inflate(packed, limit)
        assert ours.inflate(extension().deflate(data), limit) == data
    assert len(extension().inflate(bomb(100_000_000), 100_000_000)) == 100_000_000
    ours = extension()
    for _ in range(100):
        ours.inflate(packed, 0)
