"""Loggers belong to the process: each test leaves them as it found them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    for name in ("hypercorn.access", "hypercorn.error"):
        logger = logging.getLogger(name)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(logging.NOTSET)
        logger.propagate = True  # pytest adds handlers of its own to a logger that does not
