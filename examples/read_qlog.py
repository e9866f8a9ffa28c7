"""Sums up the qlog files of QUIC connections: packets, losses, and round-trip times.

    hypercorn --http3 --certfile cert.pem --keyfile key.pem --quic-qlog-dir /tmp/qlog examples.hello:app
    python -m examples.read_qlog /tmp/qlog

Shows a line for each connection. For the packets themselves, open a file with qvis (https://qvis.quictools.info/).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file, a JSON text sequence (RFC 7464); the last one may be cut while the server writes it."""
    for text in path.read_text(encoding="utf-8").split("\x1e"):
        if text.endswith("\n"):
            yield json.loads(text)


def line_of(path: Path) -> str:
    """A line about one connection."""
    events: Counter[str] = Counter()
    times = []
    trips = []
    for record in records(path):
        events[record.get("name", "")] += 1
        if "time" in record:
            times.append(record["time"])
            trips.append(record["data"].get("smoothed_rtt"))
    known = [trip for trip in trips if trip is not None]
    return (
        f"{path.stem:18} {events['transport:packet_received']:9} {events['transport:packet_sent']:9}"
        f" {events['recovery:packet_lost']:9} {known[-1] if known else 0.0:9.1f}"
        f" {(times[-1] - times[0]) / 1000 if times else 0.0:9.1f}"
    )


def main(folder: str) -> None:
    """Prints the table."""
    print(f"{'CONNECTION':18} {'RECEIVED':>9} {'SENT':>9} {'LOST':>9} {'RTT MS':>9} {'SECONDS':>9}")
    for path in sorted(Path(folder).glob("*.sqlog")):
        print(line_of(path))


if __name__ == "__main__":
    main(sys.argv[1])
