"""The functions that exist twice, each beside its twin and an independent oracle."""

from __future__ import annotations

from types import ModuleType

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.hpack_twins import PRIMITIVES

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
