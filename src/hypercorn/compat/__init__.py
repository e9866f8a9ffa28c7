"""Import places of earlier releases: the modules of the old names ask here, until version 2.0.

They are for names that were never meant for applications. What applications use (`hypercorn.config`,
`hypercorn.logging`, `hypercorn.typing` and their like) stays where it is, without a warning.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

REMOVED_IN = "2.0"
_ERRORS = "ShutdownError NoAppError LifespanTimeoutError LifespanFailureError UnexpectedMessageError FrameTooLargeError"
_HELPERS = (
    "suppress_body build_and_validate_headers filter_pseudo_headers valid_server_name write_pid_file files_to_watch"
    " check_for_updates raise_shutdown check_multiprocess_shutdown_event"
)
# The module in which each name of an old module is now.
PLACES: dict[str, dict[str, str]] = {
    "hypercorn.app_wrappers": {
        "ASGIWrapper": "hypercorn.asgi.loading",
        **dict.fromkeys(("InvalidPathError", "WSGIWrapper", "_build_environ"), "hypercorn.asgi.wsgi"),
    },
    "hypercorn.events": dict.fromkeys(("Event", "RawData", "Closed", "Updated"), "hypercorn.compat.events"),
    "hypercorn.utils": {
        **dict.fromkeys(_ERRORS.split(), "hypercorn.errors"),
        **dict.fromkeys(("is_asgi", "load_application", "wrap_app"), "hypercorn.asgi.loading"),
        **dict.fromkeys(("parse_socket_addr", "repr_socket_addr"), "hypercorn.net.address"),
        **dict.fromkeys(_HELPERS.split(), "hypercorn.compat.utils"),
    },
}


def old_module(module: str) -> Callable[[str], Any]:
    """Makes the `__getattr__` of a module that has only old names: each works, and warns."""
    places = PLACES[module]

    def lookup(name: str) -> Any:
        place = places.get(name)
        if place is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        kept = not place.startswith("hypercorn.compat.")
        instead = f"import it from {place}" if kept else "there is no other place for it"
        warnings.warn(f"{module}.{name} goes in Hypercorn {REMOVED_IN}: {instead}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(place), name)

    return lookup
