"""The functions that exist twice, each beside its twin and an independent oracle."""

from __future__ import annotations

from types import ModuleType

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.over_primitives import PRIMITIVES

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@pytest.fixture(params=PRIMITIVES)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return PRIMITIVES[request.param]


@given(st.binary(max_size=900), st.binary(max_size=3), st.binary(max_size=3))
def test_huffman_reads_what_the_hpack_package_writes(value: bytes, before: bytes, after: bytes) -> None:
    code = HUFFMAN.encode(value)
    for twin in PRIMITIVES.values():
        assert twin.huffman(before + code + after, len(before), len(before) + len(code)) == value


@given(st.binary(max_size=40))
def test_huffman_refuses_the_same_codes(code: bytes) -> None:
    assert len({twin.huffman(code, 0, len(code)) for twin in PRIMITIVES.values()}) == 1


@pytest.mark.parametrize("code", [b"\xff\xff\xff\xff", b"\xff", b"\x00", b"\x1f\xff", b"\x18"])
def test_malformed_huffman_codes(twin: ModuleType, code: bytes) -> None:
    """EOS, padding of eight bits or more, padding that is not ones (RFC 7541 section 5.2)."""
    assert twin.huffman(code, 0, len(code)) is None


@pytest.mark.parametrize(("name", "value", "valid"), [
    (b"a", b"", True), (b"a-b_1", b"x\ty", True), (b":path", b"/", True), (b"a", b"\xff", True),
    (b"", b"1", False), (b":", b"1", False), (b"A", b"1", False), (b"a b", b"1", False), (b"a:", b"1", False),
    (b"\x80", b"1", False), (b"a", b" 1", False), (b"a", b"1 ", False), (b"a", b"\t1", False),
    (b"a", b"1\r", False), (b"a", b"1\n2", False), (b"a", b"\x00", False), (b"a", b"\x7f", False),
    (b"::a", b"1", False),
])  # fmt: skip
def test_valid_field(twin: ModuleType, name: bytes, value: bytes, valid: bool) -> None:
    """RFC 9113 section 8.2.1."""
    assert twin.valid_field(name, value) is valid


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4), st.integers(0, 2**63 - 1), st.binary(max_size=20))
def test_unmask(payload: bytes, key: bytes, offset: int, before: bytes) -> None:
    """RFC 6455 section 5.3, wherever the part stands in the payload and in the input."""
    wanted = bytes(octet ^ key[(offset + i) & 3] for i, octet in enumerate(payload))
    for twin in PRIMITIVES.values():
        end = len(before) + len(payload)
        assert twin.unmask(before + payload + b"x", len(before), end, int.from_bytes(key, "little"), offset) == wanted


@pytest.mark.parametrize("size", [0, 1, 700, 2047, 2048, 2049, 70000])
def test_unmask_text(twin: ModuleType, size: int) -> None:
    """Like `unmask`, on either side of the size up to which the stack is enough."""
    text = "aé€"[: size % 4] + "x" * max(0, size - 6)
    raw = text.encode()
    masked = twin.unmask(raw, 0, len(raw), 0x01020304, 5)
    assert twin.unmask_text(b"ab" + masked + b"c", 2, 2 + len(raw), 0x01020304, 5) == text
    for malformed in (b"\x80", raw + b"\xe2\x82"):
        with pytest.raises(UnicodeDecodeError):
            twin.unmask_text(malformed, 0, len(malformed), 0, 0)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 1), (0, 4)])
def test_unmask_reads_nothing_else(twin: ModuleType, start: int, end: int) -> None:
    for function in (twin.unmask, twin.unmask_text):
        with pytest.raises(IndexError):
            function(b"abc", start, end, 0, 0)


@pytest.mark.parametrize(("size", "head"), [
    (0, b"\x81\x00"), (125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (65535, b"\x81\x7e\xff\xff"),
    (65536, b"\x81\x7f" + (65536).to_bytes(8, "big")),
])  # fmt: skip
def test_frame(twin: ModuleType, size: int, head: bytes) -> None:
    """The shortest form of each length (RFC 6455 section 5.2)."""
    assert twin.frame(0x81, b"a" * size) == twin.frame(0x81, "a" * size) == head + b"a" * size


def test_frame_of_text(twin: ModuleType) -> None:
    assert twin.frame(0x81, "é") == b"\x81\x02\xc3\xa9"
    with pytest.raises(UnicodeEncodeError):
        twin.frame(0x81, "\ud800")
