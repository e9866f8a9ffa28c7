"""The answers to HTTP-01 challenges (RFC 8555 section 8.3): files that the ACME client writes and workers read."""

from __future__ import annotations

import re
from pathlib import Path

MAX_ANSWER_BYTES = 1024  # of a token, a dot and a digest
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Challenges:
    """The answers in one folder."""

    PATH = "/.well-known/acme-challenge/"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, path: str) -> bytes | None:
        """The answer at a path; None where there is none, and for the path of something else."""
        if not path.startswith(self.PATH):
            return None
        token = path[len(self.PATH) :]
        if _TOKEN.fullmatch(token) is None:
            return None
        try:
            with open(self.folder / token, "rb") as file:
                return file.read(MAX_ANSWER_BYTES)
        except OSError:
            return None
