"""Control groups of Linux, of either version, made for a test and removed after it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.support.live import eventually

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def control_group(controller: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[tuple[str, ...]]:
    """A group with limits, and what to put before a command so that it runs in there. `old` are the files of version 1,
    `new` those of version 2. Skips the test where none can be made."""
    folder = ROOT / controller if (ROOT / controller).is_dir() else ROOT
    files = new if folder == ROOT else old
    group = folder / f"hypercorn-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        try:
            for name, value in files.items():
                (group / name).write_text(str(value))
        except OSError as error:
            pytest.skip(f"no control group can be limited: {error.strerror}")
        yield "sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"
    finally:

        def removed() -> bool:
            with suppress(OSError):  # while the last process in it is on its way out
                group.rmdir()
            return not group.exists()

        eventually(removed)
