"""Children that the application starts, while connections are open."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Any

from tests.support.live import hello
from tests.support.peer import request


def test_a_child_that_still_has_the_socket(serve_app: Any) -> None:
    """A process that was forked, and has not yet become another program, holds copies of all sockets: what happens on
    one that was closed meanwhile is nobody's any more."""
    live = serve_app(hello, lifespan="off")
    peers = [live.connect() for _ in range(5)]
    for peer in peers:
        assert peer.get().status == 200
    waiting, ready = os.pipe()

    def hold() -> None:
        os.write(ready, b"x")
        time.sleep(0.3)

    child = threading.Thread(target=lambda: subprocess.run(["true"], preexec_fn=hold, close_fds=False, check=True))
    child.start()
    assert os.read(waiting, 1) == b"x"
    for peer in peers:
        peer.send(request("/", "Connection: close"))
        assert peer.response().status == 200
        peer.close()
    with live.connect() as fresh:
        while child.is_alive():
            assert fresh.get().status == 200
            child.join(0.01)
    os.close(waiting)
    os.close(ready)
