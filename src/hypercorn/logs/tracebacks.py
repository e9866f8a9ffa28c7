"""Tracebacks of applications, without the server's own frames above them."""

from __future__ import annotations

from types import TracebackType


def application_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the application's first frame on; the whole one where all frames are this package's."""
    inner = trace
    while inner is not None and inner.tb_frame.f_globals.get("__name__", "").startswith("hypercorn."):
        inner = inner.tb_next
    return trace if inner is None else inner
