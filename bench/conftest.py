"""Says which build the figures are of."""

from __future__ import annotations

import pytest

from bench.harness import build_line


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(build_line())


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, str]) -> None:
    """Keeps it with saved figures too."""
    machine_info["hypercorn"] = build_line()
