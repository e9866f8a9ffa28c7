"""How many processors this process may use: what `workers = auto` means."""

from __future__ import annotations

import math
import os
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def usable_cpus(root: Path = _ROOT, own: str | None = None) -> int:
    """As many as the scheduler and the quota of the control group allow, and at least 1.

    `root` is where control groups are mounted, `own` the text of /proc/self/cgroup.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        cpus = os.cpu_count() or 1
    quota = cpu_quota(root, own)
    if quota is not None:
        cpus = min(cpus, math.ceil(quota))
    return max(cpus, 1)


def cpu_quota(root: Path = _ROOT, own: str | None = None) -> float | None:
    """Processors that the control group's quota amounts to (0.5: half of one), or None without a quota."""
    if own is None:
        try:
            own = Path("/proc/self/cgroup").read_text()
        except OSError:
            return None
    quotas = []
    for line in own.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            quotas += [_unified(folder) for folder in _folders(root, path)]
        elif "cpu" in controllers.split(","):
            for mount in ("cpu,cpuacct", "cpu"):
                quotas += [_legacy(folder) for folder in _folders(root / mount, path)]
    known = [quota for quota in quotas if quota is not None]
    return min(known) if known else None


def _folders(root: Path, path: str) -> list[Path]:
    """The group and all above it, as every level may limit; in a container the path may not exist, the root does."""
    folder = root / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent == root or root in parent.parents), root]


def _unified(folder: Path) -> float | None:
    """cgroup v2: "max 100000" or "50000 100000"."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _legacy(folder: Path) -> float | None:
    """cgroup v1: two files; -1 is no quota."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
