"""The title of a process, as ps and top show it, where the package setproctitle is installed."""

from __future__ import annotations

import importlib

from hypercorn.config import Config


def set_title(config: Config, role: str) -> None:
    """Names this process by its role and by `process_name`, or else its application: "hypercorn: worker (main:app)"."""
    try:
        module = importlib.import_module("setproctitle")
    except ImportError:
        return
    module.setproctitle(f"hypercorn: {role} ({config.process_name or config.application_path})")
