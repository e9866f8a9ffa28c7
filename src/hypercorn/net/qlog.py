"""qlog: what each QUIC connection sends and receives, as a file for qvis and other viewers, where `quic_qlog_dir` asks.

aioquic makes the events; here they are written as they come, one JSON text sequence (RFC 7464) for each connection, so
that nothing of a long connection stays in memory. Imports aioquic, the extra `h3`.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, TextIO, cast

from aioquic.quic.logger import QuicLogger, QuicLoggerTrace

from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog

SUFFIX = ".sqlog"
MAX_FILES = 1000  # in the folder; connections that come then have no file
MAX_OPEN = 100  # connections of one worker that are written at a time
MAX_BYTES = 16 * 1024 * 1024  # bytes of one file
MAX_PENDING = 1000  # events that wait for the end of a packet
PACKETS = ("packet_received", "packet_sent")
SEPARATOR = "\x1e"  # RFC 7464 section 2


class QLogTrace(QuicLoggerTrace):
    """The file of one connection."""

    def __init__(self, file: TextIO, odcid: bytes, log: ErrorLog) -> None:
        super().__init__(is_client=False, odcid=odcid)
        self.file = file
        self.log = log
        self.left = MAX_BYTES
        self.pending: list[dict[str, object]] = []
        head: dict[str, object] = {
            "qlog_version": "0.3",
            "qlog_format": "JSON-SEQ",
            "title": "hypercorn",
            "trace": {
                "common_fields": {"ODCID": odcid.hex(), "time_format": "absolute"},
                "vantage_point": {"name": "hypercorn", "type": "server"},
            },
        }
        self.write(head)

    def log_event(self, *, category: str, event: str, data: dict[str, object]) -> None:
        """aioquic's callback. It fills in the frames of a received packet afterwards, until the next packet."""
        if event in PACKETS or len(self.pending) >= MAX_PENDING:
            self.flush()
        self.pending.append({"time": time.time() * 1000, "name": f"{category}:{event}", "data": data})

    def flush(self) -> None:
        """Writes what is complete by now."""
        for record in self.pending:
            self.write(record)
        self.pending.clear()

    def write(self, record: dict[str, object]) -> None:
        """Writes a record, where there is room. The connection goes on whatever the disk does."""
        if self.left <= 0:
            return
        text = f"{SEPARATOR}{json.dumps(record, default=repr)}\n"
        self.left -= len(text)
        try:
            self.file.write(text)
        except (OSError, ValueError) as error:
            self.left = 0
            self.log.log_error("A file of quic_qlog_dir cannot be written: %s", error)

    def close(self) -> None:
        """Ends the file."""
        self.flush()
        self.left = 0
        try:
            self.file.close()
        except OSError as error:
            self.log.log_error("A file of quic_qlog_dir cannot be written: %s", error)


class QLog(QuicLogger):
    """The files of one worker. Raises ConfigError for a folder that cannot be used."""

    def __init__(self, folder: str, log: ErrorLog) -> None:
        super().__init__()
        self.folder = folder
        self.log = log
        self.open: dict[QuicLoggerTrace, QLogTrace] = {}
        self.full = False  # and the log has said so
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"quic_qlog_dir {folder!r} is no folder that can be written to")

    def start_trace(self, is_client: bool, odcid: bytes) -> QuicLoggerTrace:
        """aioquic's callback for a new connection. Gives None, which is no trace to aioquic, where there is no room."""
        trace = self.new_trace(odcid) if len(self.open) < MAX_OPEN else None
        if trace is not None:
            self.open[trace] = trace
        return cast(QuicLoggerTrace, trace)

    def new_trace(self, odcid: bytes) -> QLogTrace | None:
        """A new file, which only its owner may read. The client has chosen the name: no file is written twice."""
        try:
            if sum(name.endswith(SUFFIX) for name in os.listdir(self.folder)) >= MAX_FILES:
                if not self.full:
                    self.full = True
                    self.log.log_warning("quic_qlog_dir has %d files: no more are written", MAX_FILES)
                return None
            path = os.path.join(self.folder, odcid.hex() + SUFFIX)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return None
        except OSError as error:
            self.log.log_error("A file of quic_qlog_dir cannot be written: %s", error)
            return None
        return QLogTrace(os.fdopen(number, "w", encoding="utf-8"), odcid, self.log)

    def end_trace(self, trace: QuicLoggerTrace) -> None:
        """aioquic's callback for a connection that has ended."""
        ended = self.open.pop(trace, None)
        if ended is not None:
            ended.close()

    def close(self) -> None:
        """Ends all files."""
        for trace in list(self.open):
            self.end_trace(trace)
