"""Several event loops in one process, each in a thread of its own: what they share must not be seen.

This is what has to hold for builds that need no GIL (`HYPERCORN_FREE_THREADED=1`); with one it holds all the same.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from typing import Any

from tests.support.live import Live, body_of, lifespan, respond
from tests.support.peer import request

SERVERS, CLIENTS, ROUNDS = 3, 2, 40


def numbered(number: int) -> Any:
    """An application that answers with its number and what it was sent."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["number"] = number
            await lifespan(receive, send)
        else:
            body = await body_of(receive)
            fields = [(b"x-path", scope["raw_path"]), (b"x-state", b"%d" % scope["state"]["number"])]
            await respond(send, b"%d:%b" % (number, body), headers=fields)

    return app


def talk(live: Live, number: int, client: int, failures: list[Any]) -> None:
    """Many requests on one connection; everything in each answer must be its own."""
    try:
        with live.connect() as peer:
            for turn in range(ROUNDS):
                body = b"%d-%d-%d" % (number, client, turn) * (1 + turn % 7 * 50)
                peer.send(request(f"/{client}/{turn}", "X-Long: " + "a" * turn, method="POST", body=body))
                response = peer.response()
                assert response.body == b"%d:%b" % (number, body)
                assert response.header("x-path") == f"/{client}/{turn}"
                assert response.header("x-state") == str(number)
    except BaseException as error:
        failures.append(error)


def test_servers_in_threads_do_not_know_of_each_other(backend: str, driver: str) -> None:
    servers = [Live(numbered(number), backend, runtime=driver, access=True) for number in range(SERVERS)]
    failures: list[Any] = []
    talkers = [
        threading.Thread(target=talk, args=(live, number, client, failures))
        for number, live in enumerate(servers)
        for client in range(CLIENTS)
    ]
    try:
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join(60)
            assert not talker.is_alive()
    finally:
        for live in servers:
            live.stop()
    assert failures == []
    for live in servers:
        assert live.errors() == []
        assert len(live.access.records) == CLIENTS * ROUNDS


def test_the_gil_stays_off_where_it_is_off() -> None:
    """Importing an extension that needs it would have switched it on."""
    off = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert getattr(sys, "_is_gil_enabled", lambda: True)() != off
