"""Helper functions of earlier releases that the server itself does not use any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from hypercorn.config import Config
from hypercorn.errors import ShutdownError

Headers = list[tuple[bytes, bytes]]


def suppress_body(method: str, status: int) -> bool:
    """Returns True if the response has no body (RFC 9110 section 6.4.1)."""
    return method == "HEAD" or 100 <= status < 200 or status in (204, 304)


def build_and_validate_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers stripped of space around them.

    Raises TypeError if not bytes, ValueError for pseudo headers.
    """
    result: Headers = []
    for name, value in headers:
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise TypeError("Header names and values must be bytes")
        if not name or name[:1] == b":":
            raise ValueError("Pseudo headers are not valid")
        result.append((name.strip(), value.strip()))
    return result


def filter_pseudo_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """HTTP/2 headers as HTTP/1 has them: `:authority` (or host) first as `host`, no other pseudo header."""
    items = list(headers)
    authority = next((value for name, value in items if name == b":authority"), None)
    host = next((value for name, value in items if name == b"host"), b"")
    rest = [item for item in items if item[0] != b"host" and item[0][:1] != b":"]
    return [(b"host", host if authority is None else authority), *rest]


def valid_server_name(config: Config, request: Any) -> bool:
    """Returns True if the request's Host is one of `server_names`; without any, every name is."""
    if not config.server_names:
        return True
    host = next((value for name, value in request.headers if name.lower() == b"host"), b"")
    return host.decode("latin-1") in config.server_names


def write_pid_file(pid_path: str) -> None:
    """Writes this process's id to the file."""
    Path(pid_path).write_text(f"{os.getpid()}")


def files_to_watch() -> dict[Path, float]:
    """The source file of every imported module, with the time of its last change."""
    times: dict[Path, float] = {}
    for module in list(sys.modules.values()):
        filename = getattr(module, "__file__", None)
        if filename is not None:
            try:
                times[Path(filename).resolve()] = Path(filename).stat().st_mtime
            except OSError:
                pass
    return times


def check_for_updates(files: dict[Path, float]) -> bool:
    """True once one of the files changed or is gone; the new times are kept in `files`."""
    for path, before in files.items():
        try:
            now = path.stat().st_mtime
        except FileNotFoundError:
            return True
        if now > before:
            files[path] = now
            return True
    return False


async def raise_shutdown(shutdown_event: Callable[..., Awaitable[object]]) -> None:
    """Waits for the event, then raises ShutdownError."""
    await shutdown_event()
    raise ShutdownError


async def check_multiprocess_shutdown_event(shutdown_event: Any, sleep: Callable[[float], Awaitable[object]]) -> None:
    """Returns once the event of another process is set."""
    while not shutdown_event.is_set():
        await sleep(0.1)
