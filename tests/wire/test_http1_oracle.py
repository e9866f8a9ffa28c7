"""h11 as the oracle: what is accepted, both read alike."""

from __future__ import annotations

from types import ModuleType

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.differential import against_h11, h11_reads
from tests.wire.cases import Case, load
from tests.wire.play import cut, play

SETTINGS = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ACCEPTED = [case for case in load() if case.accept and case.layer == "parser"]


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.id)
def test_accepted_cases(case: Case, twin: ModuleType) -> None:
    assert against_h11(case.raw, play(twin.RequestParser(), [case.raw])) is None


def tokens(longest: int) -> st.SearchStrategy[bytes]:
    return st.text(TOKEN, min_size=1, max_size=longest).map(lambda text: text.encode("ascii"))


DECIDING = {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"upgrade",
}
VALUES = st.binary(max_size=20).map(
    lambda value: bytes(byte for byte in value if byte == 9 or (byte >= 32 and byte != 127)).strip(b" \t")
)
FIELDS = st.lists(st.tuples(tokens(12).filter(lambda name: name.lower() not in DECIDING), VALUES), max_size=6)
TARGETS = st.text("".join(map(chr, range(0x21, 0x7F))).replace("#", ""), max_size=20).map(
    lambda text: b"/" + text.encode("ascii")
)
BODIES = st.one_of(
    st.none(), st.binary(max_size=40), st.lists(st.binary(min_size=1, max_size=10), max_size=4).map(tuple)
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request as some client would write it, h11 among them."""
    method = draw(tokens(8).filter(lambda name: name not in (b"CONNECT", b"TRACE")))
    headers = [(b"Host", b"example.test"), *draw(FIELDS)]
    body = draw(BODIES)
    if isinstance(body, bytes):
        headers.append((b"Content-Length", b"%d" % len(body)))
    elif body is not None:
        headers.append((b"Transfer-Encoding", b"chunked"))
    client = h11.Connection(h11.CLIENT)
    raw = client.send(h11.Request(method=method, target=draw(TARGETS), headers=headers)) or b""
    for piece in (body,) if isinstance(body, bytes) else body or ():
        raw += client.send(h11.Data(data=piece)) or b""
    return raw + (client.send(h11.EndOfMessage()) or b"")


@SETTINGS
@given(raws=st.lists(requests(), min_size=1, max_size=3), places=st.lists(st.integers(0, 2000), max_size=5))
def test_what_h11_writes_is_read(twin: ModuleType, raws: list[bytes], places: list[int]) -> None:
    raw = b"".join(raws)
    record = play(twin.RequestParser(), cut(raw, places))
    assert record.refusal is None
    read = [
        (
            message.facts["method"].encode(),
            message.facts["raw_target"],
            message.facts["headers"],
            message.body,
        )
        for message in record.complete
    ]
    assert read == h11_reads(raw)
    assert len(read) == len(raws)
