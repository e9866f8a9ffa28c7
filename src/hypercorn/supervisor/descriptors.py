"""The standard streams of the process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def fill_standard_descriptors() -> None:
    """Opens /dev/null where a standard stream is closed, so that no socket or log file gets its descriptor, and with it
    what libraries write to stderr."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with suppress(OSError):
            try:
                os.fstat(number)
            except OSError:
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)
            if getattr(sys, name) is None:
                stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115  it stays open
                setattr(sys, name, stream)
