"""Header decompression (RFC 7541) over both twins: the RFC's examples, every MUST, limits, and the `hpack` package."""

from __future__ import annotations

import random
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.http2 import block, integer, literal
from tests.wire.over_primitives import HPACK as TWINS

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
NO_LIMIT = 1 << 24


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def decode(decoder: Any, data: bytes, size: int = NO_LIMIT, count: int = NO_LIMIT) -> list[tuple[bytes, bytes]] | None:
    fields = decoder.decode(data, size, count)
    return None if fields is None else [field.pair for field in fields]


def coded(value: bytes) -> bytes:
    """A string literal with a Huffman code."""
    text = HUFFMAN.encode(value)
    return integer(len(text), 7, 0x80) + text


REQUESTS = [
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")],
    [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
        (b"cache-control", b"no-cache"),
    ],
    [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ],
]
EXAMPLES = {
    "C.3": ("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"),
    "C.4": ("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_of_the_rfc(twin: ModuleType, example: str) -> None:
    decoder = twin.HeaderDecoder()
    for data, fields in zip(EXAMPLES[example], REQUESTS, strict=True):
        assert decode(decoder, bytes.fromhex(data)) == fields


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("400a637573746f6d2d6b65790d637573746f6d2d686561646572", [(b"custom-key", b"custom-header")]),
        ("040c2f73616d706c652f70617468", [(b":path", b"/sample/path")]),
        ("100870617373776f726406736563726574", [(b"password", b"secret")]),
        ("82", [(b":method", b"GET")]),
    ],
)
def test_representations(twin: ModuleType, data: str, fields: list[tuple[bytes, bytes]]) -> None:
    """RFC 7541 appendix C.2."""
    assert decode(twin.HeaderDecoder(), bytes.fromhex(data)) == fields


def test_eviction_as_in_the_rfc(twin: ModuleType) -> None:
    """RFC 7541 appendix C.5: a table of 256 octets."""
    decoder = twin.HeaderDecoder(256)
    first = bytes.fromhex(
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
        "6e1768747470733a2f2f7777772e6578616d706c652e636f6d"
    )
    assert [value for _, value in decode(decoder, first) or ()][:2] == [b"302", b"private"]
    assert decode(decoder, bytes.fromhex("4803333037c1c0bf")) == [
        (b":status", b"307"),
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT"),
        (b"location", b"https://www.example.com"),
    ]


MALFORMED = {
    "D12 index 0": b"\x80",
    "D12 index past the table": b"\xbe",
    "D12 far past the table": integer(100000, 7, 0x80),
    "D12 a name past the table": integer(62, 4) + b"\x01a",
    "D09 an integer that does not end": b"\xff" * 12,
    "D10 an integer padded with zeros": b"\xff" + b"\x80" * 1000 + b"\x00",
    "D11 a string that is cut off": b"\x00\x05abc",
    "an integer that is cut off": b"\xff",
    "a value that is missing": b"\x00\x01a",
    "D08 a size update behind a field": b"\x82\x20",
    "D07 more size updates than two": b"\x20\x20\x20",
    "a size update above what was announced": integer(4097, 5, 0x20),
    "D13 padding of eight ones": b"\x00\x01a\x82\x1f\xff",
    "D13 padding of zeros": b"\x00\x01a\x81\x18",
    "D13 EOS": b"\x00\x01a\x84\xff\xff\xff\xfc",
    "EOS as padding of 30 bits": b"\x00\x01a\x84\xff\xff\xff\xff",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_blocks(twin: ModuleType, data: bytes) -> None:
    assert twin.HeaderDecoder().decode(data, NO_LIMIT, NO_LIMIT) is None


def test_an_evicted_entry_is_gone(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    assert decode(decoder, literal(b"a", b"1", 0x40) + b"\xbe") == [(b"a", b"1")] * 2
    assert decode(decoder, b"\x20") == []
    assert decoder.decode(b"\xbe", NO_LIMIT, NO_LIMIT) is None


def test_size_updates(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    assert decode(decoder, b"\x20" + integer(4096, 5, 0x20) + literal(b"a", b"1", 0x40)) == [(b"a", b"1")]
    assert decode(decoder, integer(33, 5, 0x20) + b"\x82") == [(b":method", b"GET")]  # the entry counts 34
    assert decoder.decode(b"\xbe", NO_LIMIT, NO_LIMIT) is None


def test_an_entry_larger_than_the_table_empties_it(twin: ModuleType) -> None:
    """RFC 7541 section 4.4."""
    decoder = twin.HeaderDecoder(100)
    decode(decoder, literal(b"a", b"1", 0x40))
    assert decode(decoder, literal(b"b", b"x" * 100, 0x40)) == [(b"b", b"x" * 100)]
    assert decoder.decode(b"\xbe", NO_LIMIT, NO_LIMIT) is None


def test_a_name_of_the_table_may_be_the_entry_that_goes(twin: ModuleType) -> None:
    """RFC 7541 section 4.4: a new entry may refer to the name of one that its own insertion evicts."""
    decoder = twin.HeaderDecoder(64)
    decode(decoder, literal(b"name", b"1", 0x40))
    assert decode(decoder, integer(62, 6, 0x40) + b"\x06second") == [(b"name", b"second")]
    assert decode(decoder, b"\xbe") == [(b"name", b"second")]


def test_huffman_codes_of_every_octet(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    for value in [*(bytes((octet,)) for octet in range(256)), bytes(range(256)) * 4]:
        assert decode(decoder, b"\x00\x01a" + coded(value)) == [(b"a", value)]


@pytest.mark.parametrize(("name", "value", "flawed"), [
    (b"a", b"", False), (b"a-b_1", b"x\ty", False), (b":path", b"/", False), (b"a", b"\xff", False),
    (b"", b"1", True), (b":", b"1", True), (b"A", b"1", True), (b"a b", b"1", True), (b"a:", b"1", True),
    (b"\x80", b"1", True), (b"a", b" 1", True), (b"a", b"1 ", True), (b"a", b"\t1", True), (b"a", b"1\r", True),
    (b"a", b"1\n2", True), (b"a", b"\x00", True), (b"a", b"\x7f", True), (b"::a", b"1", True),
])  # fmt: skip
def test_what_a_field_may_be(twin: ModuleType, name: bytes, value: bytes, flawed: bool) -> None:
    """RFC 9113 section 8.2.1 (F01, F02, F03, H2-16)."""
    assert twin.HeaderDecoder().decode(literal(name, value), NO_LIMIT, NO_LIMIT)[0].flawed is flawed
    assert twin.Field(name, value).flawed is flawed


# -- limits


def test_d04_a_bomb_of_references_is_counted_as_it_decodes(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    bomb = literal(b"x", b"v" * 3900, 0x40) + b"\xbe" * 16000
    fields = decoder.decode(bomb, 65536, 100000)
    assert decoder.oversize
    assert sum(field.size for field in fields) <= 65536
    assert decode(decoder, b"\xbe") == [(b"x", b"v" * 3900)]  # in step


def test_d05_fields_are_counted(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    fields = decoder.decode(block([(b"a", b"")] * 10000), NO_LIMIT, 100)
    assert decoder.oversize
    assert len(fields) == 100
    assert decode(decoder, b"\x82") == [(b":method", b"GET")]
    assert not decoder.oversize


def test_cookies_count_as_one_field(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    assert len(decoder.decode(block([(b"cookie", b"a=1")] * 500), NO_LIMIT, 100)) == 500
    assert not decoder.oversize


def test_d03_the_table_stays_in_step_behind_a_list_that_is_too_large(twin: ModuleType) -> None:
    decoder = twin.HeaderDecoder()
    decoder.decode(block([(b"a", b"x" * 300)] * 9) + literal(b"late", b"1", 0x40), 1000, 100)
    assert decoder.oversize
    assert decode(decoder, b"\xbe") == [(b"late", b"1")]


# -- against the hpack package

TEXT = st.binary(min_size=1, max_size=40)
LISTS = st.lists(
    st.lists(st.tuples(st.sampled_from([b"a", b":path", b"cookie", b"x-y", b"server"]) | TEXT, TEXT), max_size=8),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(lists=LISTS, huffman=st.booleans(), table=st.sampled_from([0, 64, 200, 4096]))
def test_lists_that_hpack_encoded(lists: list[Any], huffman: bool, table: int) -> None:
    for twin in TWINS.values():
        encoder = hpack.Encoder()
        encoder.header_table_size = table
        decoder = twin.HeaderDecoder()
        for fields in lists:
            assert decode(decoder, encoder.encode(fields, huffman)) == fields


def test_literals_that_come_again(twin: ModuleType) -> None:
    """Some clients have `:path` in no table. Whatever a decoder remembers of such fields, it gives what they say."""
    decoder = twin.HeaderDecoder()
    plain = [literal(b":path", b"/%d" % n) for n in range(4)]
    pathless = [integer(4, 4, 0) + coded(b"/coded%d" % n) for n in range(4)]  # by the static table's name
    for n in range(200):
        one, other = n**2 % 4, n**3 % 4
        fields = decode(decoder, plain[one] + pathless[other] + plain[one])
        assert fields == [(b":path", b"/%d" % one), (b":path", b"/coded%d" % other), (b":path", b"/%d" % one)]
    # The name of the first entry of the dynamic table, which is another one each time.
    for name in (b"x-a", b"x-b", b"x-c"):
        decode(decoder, literal(name, b"v", 0x40))
        assert decode(decoder, integer(62, 4, 0) + integer(1, 7, 0) + b"w") == [(name, b"w")]
        assert decode(decoder, integer(62, 4, 0) + integer(1, 7, 0) + b"w") == [(name, b"w")]
    # What is too long to be remembered, what is never to be indexed, and what is broken.
    for _ in range(3):
        assert decode(decoder, literal(b"x", b"y" * 300)) == [(b"x", b"y" * 300)]
        assert decode(decoder, literal(b"x", b"y", 0x10)) == [(b"x", b"y")]
        assert decode(decoder, literal(b"x", b"y", 0)) == [(b"x", b"y")]
    assert decode(decoder, integer(4, 4, 0) + integer(2, 7, 0x80) + b"\xff\xff") is None


def mutated(random_: random.Random) -> Iterable[bytes]:
    """Blocks of one connection, some of them broken."""
    encoder = hpack.Encoder()
    names = [b"a", b":path", b"x-long-name", b"cookie", b":method"]
    for _ in range(random_.randint(1, 6)):
        fields = [
            (random_.choice(names), random_.randbytes(random_.randint(0, 20))) for _ in range(random_.randint(0, 6))
        ]
        data = bytearray(encoder.encode(fields, random_.random() < 0.5))
        if data and random_.random() < 0.4:
            for _ in range(random_.randint(1, 3)):
                data[random_.randrange(len(data))] = random_.randrange(256)
        yield bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_are_those_of_hpack(seed: int) -> None:
    """Both twins agree with each other always; with the package wherever they are not stricter on purpose."""
    random_ = random.Random(seed)
    agreed = 0
    for _ in range(1500):
        decoders = [twin.HeaderDecoder() for twin in TWINS.values()]
        oracle = hpack.Decoder(max_header_list_size=NO_LIMIT)
        for data in mutated(random_):
            results = [decode(decoder, data) for decoder in decoders]
            assert all(result == results[0] for result in results), data.hex()
            try:
                expected: Any = [(bytes(name), bytes(value)) for name, value in oracle.decode(data, raw=True)]
            except hpack.HPACKError:
                expected = None
            if results[0] is None:
                break  # the connection is over; the package allows longer integers and more size updates
            assert results[0] == expected, data.hex()
            agreed += 1
    assert agreed > 2000
