"""The server of `test_system_calls.py`, in a process of its own:

    python server.py BACKEND DRIVER CERTFILE KEYFILE [FILE]

With a file it is one of WSGI, which answers each request by that file.
Tells its ports on standard output, its records on standard error, and ends with its standard input.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from tests.faults.world import app
from tests.support.live import library, pause, run

from hypercorn.config import Config


def of_file(path: str) -> Any:
    """A WSGI application that answers by a file."""

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open(path, "rb"))

    return wsgi


def main() -> None:
    backend, driver, certfile, keyfile, *file = sys.argv[1:]
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.insecure_bind = ["127.0.0.1:0"]
    config.certfile, config.keyfile = certfile, keyfile
    config.runtime = driver
    config.http3 = True
    config.lifespan = "off"
    config.error_log = "-"
    config.log_level = "warning"
    config.keep_alive_timeout = config.quic_idle_timeout = config.h2_ping_interval = 3600.0
    config.keep_alive_max_requests = 10**9
    config.linger_timeout = 0.2
    config.graceful_timeout = 0.5
    config.websocket_close_timeout = 0.2
    thread = threading.Thread(target=sys.stdin.read, daemon=True)
    thread.start()

    async def serve() -> None:
        serving = of_file(file[0]) if file else app
        async with library(backend).server(serving, config, mode="wsgi" if file else None) as server:
            print(*server.addresses, flush=True)
            while thread.is_alive():
                await pause(0.02)

    run(backend, serve)
    print("ended", flush=True)


if __name__ == "__main__":
    main()
