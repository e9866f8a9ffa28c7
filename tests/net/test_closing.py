"""A listening socket that is taken out of service."""

from __future__ import annotations

import socket
import sys

import pytest

from hypercorn.net.closing import hold_off


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the filters are Linux's")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_no_handshake_begins(host: str) -> None:
    """What has connected is served to its end; who comes later neither connects nor is refused, until it is closed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as early:
            assert hold_off(listener)
            with socket.socket(family) as late:
                late.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    late.connect(listener.getsockname())
            early.sendall(b"a" * 1000)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(1000) == b"a" * 1000
                accepted.sendall(b"b")
                assert early.recv(1) == b"b"


def test_other_sockets_are_left_alone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert not hold_off(sock)
