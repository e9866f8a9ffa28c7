"""The worker classes: which function serves with each, and what package it needs."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.supervisor.exit_codes import EXIT_INTERRUPTED, EXIT_OK, report

# Module and function of each worker class, and the package that it needs.
_WORKERS = {
    "asyncio": ("hypercorn.asyncio.run", "asyncio_worker", ""),
    "uvloop": ("hypercorn.asyncio.run", "uvloop_worker", "uvloop"),
    "trio": ("hypercorn.trio.run", "trio_worker", "trio"),
}


def find_worker(worker_class: str) -> Callable[..., None]:
    """The function that serves with that worker class.

    Raises ConfigError if there is none or a package is missing.
    """
    if worker_class not in _WORKERS:
        raise ConfigError(
            f"No worker of class {worker_class} exists: asyncio (the default), uvloop and trio do, for ASGI and WSGI"
        )
    module, function, package = _WORKERS[worker_class]
    if package and importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"worker_class {worker_class!r} needs the package {package}: pip install 'hypercorn[{package}]'"
        )
    worker: Callable[..., None] = getattr(importlib.import_module(module), function)
    return worker


def run_worker(worker: Callable[..., None], config: Config, **options: object) -> int:
    """Runs one worker in this process; what it raises becomes a message and an exit code."""
    try:
        worker(config, **options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return report(error, config)
    return EXIT_OK
