"""Options as a program gives, reads and assigns them: type checkers must accept every line. It is never run."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

import hypercorn
from hypercorn import Config


def read(config: Config) -> tuple[int, float | None, list[str], str | None, bool, ssl.VerifyMode | None]:
    """What is read has the type that the value is converted to."""
    config.bind.append("[::]:8000")
    return config.workers, config.keep_alive_timeout, config.bind, config.certfile, config.reload, config.verify_mode


def assign(config: Config) -> int:
    """What is assigned may be what the documentation shows."""
    config.workers = "auto"
    config.workers = 4
    config.keep_alive_timeout = "75s"
    config.keep_alive_timeout = 75
    config.keep_alive_timeout = None
    config.max_body_size = "50MiB"
    config.bind = "0.0.0.0:80"
    config.bind = ("0.0.0.0:80", "unix:/run/app.sock")
    config.certfile = Path("certificate.pem")
    config.access_log = logging.getLogger("access")
    config.access_log = True
    config.verify_mode = "CERT_REQUIRED"
    config.lifespan = "on"
    config.websocket_compression = {"level": 9}
    config.websocket_compression = False
    config.log_config_dict = {"version": 1}
    # names of earlier releases
    config.loglevel = "debug"
    config.accesslog = "-"
    config.use_reloader = True
    config.h11_max_incomplete_size = "16KiB"
    return config.workers + 1


class Settings(Config):
    """Class attributes are defaults. Pyright takes no plain value for an attribute that the base declares otherwise."""

    workers = 4  # pyright: ignore[reportAssignmentType]
    keep_alive_timeout = 75  # pyright: ignore[reportAssignmentType]
    bind = ["0.0.0.0:80"]  # pyright: ignore[reportAssignmentType]


def arguments() -> None:
    """Options by name."""
    Config(workers="auto", keep_alive_timeout="75s", max_body_size="50MiB", bind="0.0.0.0:80", loglevel="debug")
    Config.from_mapping({"workers": 2}, graceful_timeout="30s")
    hypercorn.run("main:app", port=8000, workers="auto", reload=True, keep_alive_timeout="75s")
    hypercorn.run("main:app", Settings(), access_log="-")


async def serve() -> None:
    """The same on a running loop."""
    await hypercorn.serve("main:app", port=8000, graceful_timeout="30s")
    async with hypercorn.server("main:app", port=0, lifespan="off") as running:
        print(running.addresses)
