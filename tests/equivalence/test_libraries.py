"""Real libraries observe under the server what they observe in plain tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.equivalence.carriers import http3_options
from tests.equivalence.driver import drive
from tests.equivalence.libraries import LIBRARIES, Journal, Library
from tests.runtime.test_http2 import Client
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import GET, headers
from tests.support.http3 import LiveClient
from tests.support.http3 import request as http3_request
from tests.support.live import DRIVERS, Live, eventually
from tests.support.peer import request

__all__ = ("certificates",)  # a fixture

Answers = list[tuple[int, bytes]]


def pipelined(live: Live, paths: list[str]) -> Answers:
    with live.connect() as peer:
        peer.send(b"".join(map(request, paths)))
        answers = [peer.response() for _ in paths]
    return [(answer.status, answer.body) for answer in answers]


def over_http2(live: Live, paths: list[str]) -> Answers:
    answers: Answers = []
    with live.connect() as peer:
        client = Client(peer)
        for number, path in enumerate(paths):
            stream = 2 * number + 1
            client.send(headers(stream, [GET[0], GET[1], (b":path", path.encode()), GET[3]]))
            answer = client.answer(stream)
            answers.append((answer.status, answer.body))
    return answers


def over_http3(live: Live, paths: list[str]) -> Answers:
    with LiveClient(live.port) as client:
        answers = [client.ask(http3_request(path.encode())) for path in paths]
        return [(answer.status, bytes(answer.body)) for answer in answers]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the libraries' own
@pytest.mark.parametrize("carrier", [pipelined, over_http2, over_http3], ids=lambda carrier: carrier.__name__)
@pytest.mark.parametrize(("library", "paths", "loops"), LIBRARIES, ids=[one[0].__name__ for one in LIBRARIES])
def test_a_library(
    serve_app: Any,
    backend: str,
    driver: str,
    certificates: Certificates,
    carrier: Callable[[Live, list[str]], Answers],
    library: Library,
    paths: list[str],
    loops: tuple[str, ...],
) -> None:
    if backend not in loops:
        pytest.skip("the library needs asyncio")
    options: dict[str, Any] = {"lifespan": "on", "graceful_timeout": 1}
    if carrier is over_http3:
        if driver != DRIVERS[0]:
            pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
        options.update(http3_options(certificates))
    plain, served = Journal(), Journal()
    exchanges = drive(backend, library(plain), "http", [(path, [""]) for path in paths], lives=True)
    live = serve_app(library(served), **options)
    answers = carrier(live, paths)
    failures = [exchange.error for exchange in exchanges if exchange.error is not None]
    eventually(lambda: len(live.errors()) >= len(failures))
    live.stop()
    assert served.calls == plain.calls
    assert plain.calls
    for (status, body), exchange in zip(answers, exchanges, strict=True):
        expected_status, expected_body = exchange.answer()
        assert status == expected_status
        assert exchange.error is not None or body == expected_body
    assert len(live.errors()) == len(failures)
