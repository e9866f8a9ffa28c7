"""Processes: a supervisor that keeps workers running, and what operators do to it.

supervisor = Supervisor(config)
supervisor.start()                      workers serve when this returns
supervisor.scale(4)
supervisor.reload()
supervisor.stop()                       or: with Supervisor(config) as supervisor: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.supervisor.api import Supervisor, SupervisorError

__all__ = ("Supervisor", "SupervisorError")


def __getattr__(name: str) -> object:
    # Loaded when first asked for: the processes that this package starts need only parts of it.
    if name in __all__:
        from hypercorn.supervisor import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
