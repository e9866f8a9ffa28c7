"""One message to all clients reaches those who are there, though one is gone, as it would from a plain task."""

from __future__ import annotations

from typing import Any

import pytest
from tests.equivalence.broadcast import LISTENERS, SPEAKER, Room, in_plain_tasks
from tests.equivalence.carriers import CARRIERS, Carrier, http3_options
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import DRIVERS, eventually

__all__ = ("certificates",)  # a fixture


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_one_client_is_gone(
    serve_app: Any, backend: str, driver: str, carrier: type[Carrier], certificates: Certificates
) -> None:
    if carrier.http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    plain, room = Room(carrier.kind), Room(carrier.kind)
    expected = in_plain_tasks(backend, plain)
    assert any("'gone'" in line for line in plain.told[SPEAKER])
    live = serve_app(room, lifespan="off", **(http3_options(certificates) if carrier.http3 else {}))
    client = carrier(live)
    try:
        for number, path in enumerate(LISTENERS, 1):
            client.open(path)
            eventually(lambda number=number: len(room.clients) == number)
        client.leave("/gone")
        eventually(lambda: room.told["/gone"])
        read = {SPEAKER: client.ask(SPEAKER), **{path: client.read(path) for path in LISTENERS if path != "/gone"}}
    finally:
        client.close()
    assert room.told == plain.told
    assert read == expected
    assert live.errors() == []
