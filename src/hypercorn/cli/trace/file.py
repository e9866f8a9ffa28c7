"""The file of a trace: one JSON object for each event, secrets taken out."""

from __future__ import annotations

import base64
import json
import os
from typing import TextIO

from hypercorn.cli.trace.decode import IN, OUT, ConnectionDecoder, Event

FORMAT = 1
# Headers whose values let somebody act as the client.
SECRET = frozenset(
    """
    authorization cookie proxy-authorization set-cookie x-amz-security-token x-api-key x-auth-token x-csrf-token
    x-csrftoken x-xsrf-token
    """.split()  # noqa: SIM905
)


def without_secrets(event: Event) -> Event:
    """An event in which secret values are told by their lengths."""
    found = dict(event)
    for key in ("headers", "trailers"):
        fields = found.get(key)
        if isinstance(fields, list):
            found[key] = [
                (name, f"[redacted, {len(value)} characters]" if name.lower() in SECRET else value)
                for name, value in fields
            ]
    found.pop("excerpt", None)
    return found


class TraceFile:
    """A new file, which only its owner may read. Ends with `max_size` bytes.

    Raises FileExistsError and other OSErrors.
    """

    def __init__(self, path: str, head: dict[str, object], max_size: int, secrets: bool) -> None:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.file: TextIO = os.fdopen(number, "w", encoding="utf-8")
        self.left = max_size
        self.secrets = secrets
        self.events = 0
        self.connections: dict[tuple[int, int], ConnectionDecoder] = {}
        self.write({"hypercorn_trace": FORMAT, **head})

    @property
    def full(self) -> bool:
        """Whether no more is taken."""
        return self.left <= 0

    def take(self, pid: int, record: dict[str, object]) -> None:
        """Takes one record of a worker."""
        number, what = record.get("connection"), record["what"]
        common: Event = {"at": record["at"], "worker": pid, "connection": number}
        if what in (IN, OUT) and isinstance(number, int):
            decoder = self.connections.setdefault((pid, number), ConnectionDecoder())
            for event in decoder.feed(str(what), base64.b64decode(str(record["data"]))):
                self.event({**common, **event})
            return
        if what == "lost" and isinstance(number, int):
            self.connections.pop((pid, number), None)
        self.event({**record, **common})

    def event(self, event: Event) -> None:
        """Writes an event."""
        self.events += 1
        self.write(event if self.secrets else without_secrets(event))

    def write(self, line: Event) -> None:
        """Writes a line, where there is room."""
        text = json.dumps(line) + "\n"
        if self.left > 0:
            self.left -= len(text)
            self.file.write(text)

    def close(self, reason: str) -> None:
        """Says why it ends."""
        self.left = max(self.left, 1)
        self.write({"what": "trace ended", "reason": reason})
        self.file.close()
