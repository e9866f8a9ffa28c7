"""Processes without privileges, also where the tests run as root."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

NOBODY = "54321"  # a user that nobody is
CAPABILITY = "-all,+dac_read_search"  # may read the interpreter and the package, wherever they are


def unprivileged() -> tuple[str, ...]:
    """What to put before a command. Skips the test where that cannot be had."""
    if sys.platform != "linux":
        pytest.skip("limits and privileges as Linux has them")
    if os.geteuid():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root needs setpriv to be somebody else")
    capabilities = [f"--{which}={CAPABILITY}" for which in ("inh-caps", "ambient-caps", "bounding-set")]
    return setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *capabilities


def bound_by_permissions() -> tuple[str, ...]:
    """What to put before a command so that the permissions of files hold for it, also where root starts it. Skips the
    test where that cannot be had."""
    if os.geteuid():
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root needs setpriv to be bound by permissions")
    return setpriv, "--bounding-set=-dac_override,-dac_read_search"


def privileged_port() -> int:
    """A port that needs privileges. Skips the test where there is none."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if first.exists() and int(first.read_text()) <= 1:
        pytest.skip("every port is for everybody here")
    return 1
