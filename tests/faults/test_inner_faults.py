"""Every point at which the server, a library or the loop may raise on a connection's way, on every protocol: that
connection ends, with one record at the most, all others go on, and nothing of it is left (N1)."""

from __future__ import annotations

import pytest
from tests.faults.injection import (
    ERRORS,
    FAULTS,
    HTTP1,
    HTTP2,
    HTTP2_STREAM,
    HTTP3,
    LIFE,
    LOOP_TRANSPORT,
    QUIC,
    TLS_OBJECT,
    WEBSOCKET,
)
from tests.faults.world import World

from hypercorn import build

# What asyncio's transport says when it is collected, where closing its socket failed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")

CODEC = ("codec.feed", "codec.next_event") if build() == "pure" else ()
SOCKET = ("send", "recv", "shutdown", "close")


def points(prefix: str, *names: str) -> list[str]:
    return [f"{prefix}.{name}" for name in names]


# By carrier, the points that its connections come by.
POINTS: dict[str, list[str]] = {
    "h1": points("http1", *LIFE, *HTTP1, *CODEC) + points("context", "open_http"),
    "h1-tls": points("tls", "data_received", "eof_received", "expired", "encrypt") + points("tls.engine", *TLS_OBJECT),
    "h2": points("http2", *LIFE, *HTTP2, *HTTP2_STREAM, *CODEC) + points("context", "open_http"),
    "h2-tls": points("tls", "data_received") + points("tls.engine", "read", "write"),
    "h3": points("http3", "connection_lost", "turn_ended", "expired", *HTTP3)
    + points("quic", *QUIC)
    + points("context", "open_http"),
    "ws-h1": points("websocket", *LIFE[:5], *WEBSOCKET, *CODEC) + points("context", "open_websocket"),
    "ws-h2": points("http2", "data_frame", "body_received", "turn_ended") + points("context", "open_websocket"),
    "ws-h2-tls": points("tls", "data_received", "encrypt"),
    "ws-h3": points("http3", "body_received", "turn_ended", "work") + points("context", "open_websocket"),
}
OVER_LOOPS = {
    carrier: points("loop", *names)
    for carrier, names in {
        "h1": LOOP_TRANSPORT,
        "h1-tls": ("write", "close", "abort"),
        "h2": ("write", "close", "abort"),
        "ws-h1": ("write", "close", "abort"),
    }.items()
}
OVER_SOCKETS = {carrier: points("socket", *SOCKET) for carrier in ("h1", "h1-tls", "h2", "ws-h1")}
ALL = [
    (carrier, point)
    for table in (POINTS, OVER_LOOPS, OVER_SOCKETS)
    for carrier, named in table.items()
    for point in named
]
LARGE = ("pause_writing", "resume_writing", "pause_reading", "resume_reading")
UNREACHED = {  # not every way there leads past every point
    ("h1-tls", "tls.engine.unwrap"),
    ("h1-tls", "loop.abort"),
    ("h2", "loop.abort"),
    ("ws-h1", "loop.abort"),
    ("h1", "loop.abort"),
    ("h1", "loop.write_eof"),
    ("h1", "socket.shutdown"),
    ("h1-tls", "socket.shutdown"),
    ("h2", "socket.shutdown"),
    ("ws-h1", "socket.shutdown"),
}


def applies(world: World, point: str) -> bool:
    """True where connections come by this point with this loop and transport."""
    prefix = point.partition(".")[0]
    if prefix == "loop":
        return world.driver == "loop" and world.backend in ("asyncio", "uvloop")
    if prefix == "socket":
        return world.driver == "loop" and world.backend in ("asyncio", "trio")
    return True


def play(world: World, carrier: str, point: str, error: Exception) -> None:
    """One client that meets one fault."""
    victim = world.new(carrier)
    FAULTS.arm(victim.port, point, error)
    name = point.rpartition(".")[2]
    if name == "expired":
        if point != "tls.expired":  # which is the handshake's
            victim.hold()
        world.expire(victim.port)
    elif point == "websocket.eof_received":
        victim.go()
    else:
        victim.provoke("/large" if name in LARGE else f"/{name}")
    victim.leave()


@pytest.mark.parametrize(("carrier", "point"), ALL, ids=[f"{carrier}-{point}" for carrier, point in ALL])
def test_a_point_fails(world: World, carrier: str, point: str) -> None:
    if not applies(world, point):
        pytest.skip("no connection comes by there")
    live = world.live
    # Each point with a third of the errors, its neighbours with the others.
    kinds = list(ERRORS)[ALL.index((carrier, point)) % 3 :: 3]
    for kind in kinds[:1] if point.rpartition(".")[2] in (*LARGE, "expired") else kinds:
        FAULTS.clear()
        before = len(live.errors())
        play(world, carrier, point, ERRORS[kind]())
        world.settled()
        if (carrier, point) not in UNREACHED and point.rpartition(".")[2] not in LARGE:
            assert FAULTS.hits == [point], kind
        world.check(carrier)
        records = live.errors()[before:]
        assert len(records) <= 1, (kind, records)
    world.check()
    fresh = world.new(carrier)
    fresh.go()
    fresh.leave()
    world.settled()
