"""What operations cost a request, in instructions: counting it, writing its access record.

    python -m bench.operations [--pure]

The writing thread's work is counted with the rest. Needs valgrind.
"""

from __future__ import annotations

import sys
from typing import Any

from bench.callgrind import count
from hypercorn.asgi.gate import Health, open_gate
from hypercorn.config import Config
from hypercorn.logging import access_writer
from hypercorn.metrics import Counters

EXTRAS: dict[str, dict[str, Any]] = {
    "metrics": {},
    "proxies": {"trusted_proxies": ["127.0.0.1"]},
    "health": {"health_path": "/health"},
    "concurrency": {"limit_concurrency": 1000},
    "shedding": {"shed_delay": 1000.0},
    "text": {"accesslog": "/dev/null"},
    "combined": {"accesslog": "/dev/null", "access_log_format": "combined"},
    "json": {"accesslog": "/dev/null", "access_log_format": "json"},
}


def set_up(harness: Any, extra: str) -> None:
    """Switches something on for the requests of a harness."""
    config = Config.from_mapping(EXTRAS[extra])
    context = harness.context
    if config.accesslog is not None:
        context.access = access_writer(config.log, lambda coroutine: None)
        context.records = True
    counters = Counters() if extra == "metrics" else None
    if counters is not None:
        counters.quiet = False
    open_gate(context, config, Health(), counters)
    harness.transport.trusted = context.proxy is not None


def main() -> None:
    """Counts, and writes a table."""
    cases = ["hello", *(f"hello+{extra}" for extra in EXTRAS)]
    counted = count(cases, pure="--pure" in sys.argv)
    plain = counted["hello"]
    for case, instructions in counted.items():
        print(f"{case:20}{instructions:10,.0f}{(instructions / plain - 1) * 100:+8.1f} %")


if __name__ == "__main__":
    main()
