"""`quic_qlog_dir`: a file of each QUIC connection, with its packets and frames, and their bounds."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http3 import LiveClient, request
from tests.support.live import DRIVERS, echo

from hypercorn.errors import ConfigError
from hypercorn.net import qlog

__all__ = ("certificates",)  # a fixture
pytestmark = pytest.mark.live


@pytest.fixture(params=DRIVERS[:1])
def driver(request: pytest.FixtureRequest) -> str:
    """UDP is the loop's, whoever moves the bytes of TCP."""
    return str(request.param)


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().split("\x1e")[1:]]


@pytest.fixture(name="options")
def _options(certificates: Certificates, tmp_path: Path) -> dict[str, Any]:
    return {
        "lifespan": "off",
        "http3": True,
        "certfile": certificates.certfile,
        "keyfile": certificates.keyfile,
        "quic_qlog_dir": str(tmp_path),
    }


def test_each_connection_has_a_file(serve_app: Any, options: dict[str, Any], tmp_path: Path) -> None:
    live = serve_app(echo, **options)
    body = bytes(300_000)
    for _ in range(2):
        with LiveClient(live.port) as client:
            answer = client.ask(request(b"/secret-path", b"POST"), body)
            assert (answer.status, len(answer.body)) == (200, len(body))
    live.stop()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        head, *events = records_of(path)
        assert (head["qlog_format"], head["trace"]["common_fields"]["ODCID"] + ".sqlog") == ("JSON-SEQ", path.name)
        names = {one["name"] for one in events}
        assert {"transport:packet_sent", "transport:packet_received"} <= names, names
        sent = [frame for one in events if one["name"] == "transport:packet_sent" for frame in one["data"]["frames"]]
        assert {"crypto", "ack", "stream"} <= {frame["frame_type"] for frame in sent}
        assert sum(frame.get("length", 0) for frame in sent if frame["frame_type"] == "stream") >= len(body)
        received = [one["data"]["frames"] for one in events if one["name"] == "transport:packet_received"]
        types = {frame["frame_type"] for frames in received for frame in frames}
        assert {"crypto", "ack", "stream"} <= types, types
        assert "secret-path" not in path.read_text()


def test_bounds(serve_app: Any, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qlog, "MAX_FILES", 2)
    monkeypatch.setattr(qlog, "MAX_BYTES", 5000)
    live = serve_app(echo, **options)
    for _ in range(3):
        with LiveClient(live.port) as client:
            assert client.ask(request()).status == 200
    assert "quic_qlog_dir has 2 files: no more are written" in live.log.texts()
    live.stop()
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    assert all(path.stat().st_size < 8000 for path in files)


def test_a_disk_that_is_full_stops_nothing(tmp_path: Path) -> None:
    class Log:
        said: list[str] = []

        def log_error(self, message: str, *args: object) -> None:
            self.said.append(message % args)

    log: Any = Log()
    files = qlog.QLog(str(tmp_path), log)
    trace: Any = files.start_trace(False, b"\1\2")
    trace.file.close()
    trace.log_event(category="x", event="y", data={"z": b"1"})
    trace.log_event(category="transport", event="packet_sent", data={})
    trace.log_event(category="transport", event="packet_sent", data={})
    assert len(log.said) == 1
    files.close()
    assert files.start_trace(False, b"\1\2") is None  # its file is there
    more = [files.start_trace(False, bytes((number, 7))) for number in range(qlog.MAX_OPEN + 3)]
    assert sum(one is None for one in more) == 3
    files.close()
    assert files.open == {}


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    log: Any = None
    with pytest.raises(ConfigError, match=r"quic_qlog_dir .* is no folder that can be written to"):
        qlog.QLog(str(tmp_path / "none"), log)
