"""Access records: every atom, and that no request can forge a line."""

from __future__ import annotations

import logging
import os
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercorn.config import Config
from hypercorn.logs.access import escape
from hypercorn.logs.logger import AccessLogAtoms, Logger, access_writer

SCOPE: dict[str, Any] = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "https",
    "path": "/a b",
    "raw_path": b"/a%20b",
    "query_string": b"c=d",
    "client": ("127.0.0.1", 80),
    "headers": [
        (b"user-agent", b"Hypercorn"),
        (b"X-Hypercorn", b"One"),
        (b"x-hypercorn", b"Two"),
        (b"referer", b"here"),
        (b"authorization", b"Basic dXNlcjpwYXNz"),
    ],
}
RESPONSE = {"status": 200, "headers": [(b"Content-Length", b"5"), (b"X-Out", b"out")]}


def atoms(
    scope: dict[str, Any] | None = None, response: Any = RESPONSE, seconds: float = 0.000_023, **kwargs: Any
) -> AccessLogAtoms:
    return AccessLogAtoms({**SCOPE, **(scope or {})}, response, seconds, **kwargs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("h", "127.0.0.1:80"),
        ("l", "-"),
        ("u", "user"),
        ("r", "GET /a%20b HTTP/1.1"),
        ("R", "GET /a%20b?c=d HTTP/1.1"),
        ("m", "GET"),
        ("U", "/a%20b"),
        ("Uq", "/a%20b?c=d"),
        ("q", "c=d"),
        ("H", "1.1"),
        ("S", "https"),
        ("s", 200),
        ("st", "OK"),
        ("b", 5),
        ("B", 5),
        ("f", "here"),
        ("a", "Hypercorn"),
        ("T", 0),
        ("D", 23),
        ("L", "0.000023"),
        pytest.param("p", f"<{os.getpid()}>", id="p"),
        ("{X-HYPERCORN}i", "One,Two"),
        ("{x-out}o", "out"),
        ("{not-there}i", "-"),
        ("{not-there}o", "-"),
        ("not-an-atom", "-"),
        ("{", "-"),
        ("", "-"),
    ],
)
def test_atoms(name: str, value: object) -> None:
    assert atoms()[name] == value


def test_time_is_the_common_log_format() -> None:
    assert abs(time.mktime(time.strptime(atoms()["t"], "[%d/%b/%Y:%H:%M:%S %z]")) - time.time()) < 90000


def test_bytes_are_those_sent() -> None:
    """Q-L-1."""
    assert atoms(response={**RESPONSE, "body_bytes": 17})["b"] == 17
    assert atoms(response={**RESPONSE, "body_bytes": 0})["b"] == "-"
    assert atoms(response={**RESPONSE, "body_bytes": 0})["B"] == 0
    assert atoms(response={"status": 200, "headers": []})["B"] == "-"


def test_a_request_without_a_response() -> None:
    values = atoms(response=None)
    assert [values[name] for name in ("s", "st", "b", "B", "{x-out}o")] == ["-"] * 5


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Random", "En\nviron")
    assert atoms()["{random}e"] == "En\\x0aviron"
    assert atoms()["{not_set_anywhere}e"] == "-"


def test_non_standard_status() -> None:
    assert atoms(response={"status": 441, "headers": []})["st"] == "<???441???>"


def test_websocket_scope() -> None:
    scope = {key: value for key, value in SCOPE.items() if key != "method"} | {"type": "websocket"}
    values = AccessLogAtoms(scope, {"status": 101, "headers": []}, 1.5)
    assert (values["r"], values["H"], values["T"], values["D"]) == ("GET /a%20b HTTP/1.1", "ws", 1, 1_500_000)


def test_client_forms() -> None:
    assert atoms(client_port=False)["h"] == "127.0.0.1"
    assert atoms({"client": None})["h"] == "-"
    assert atoms({"client": ("::1", 80)}, client_port=False)["h"] == "::1"


@pytest.mark.parametrize("value", [b"Basic", b"Basic !!", b"Basic dXNlcg==", b"Bearer dXNlcjpwYXNz", b"Basic OnBhc3M="])
def test_user_of_other_credentials(value: bytes) -> None:
    assert atoms({"headers": [(b"authorization", value)]})["u"] == "-"


def test_only_asked_atoms_are_computed() -> None:
    values = atoms({"headers": None})  # would fail if any header atom were computed
    form = "%(m)s %(U)s"
    assert form % values == "GET /a%20b"
    assert set(values) == {"l", "m", "U"}


def test_a_scope_without_raw_path() -> None:
    scope = {key: value for key, value in SCOPE.items() if key != "raw_path"} | {"path": "/a\nb\u4e2d"}
    assert AccessLogAtoms(scope, RESPONSE, 0)["U"] == "/a\\x0ab\\xe4\\xb8\\xad"


# --- forging (Q-L-4)

HOSTILE = b'\x00\x01\n\r\x1b[31m\x7f\x80\x85\xff"\\'
ESCAPED = '\\x00\\x01\\x0a\\x0d\\x1b[31m\\x7f\\x80\\x85\\xff\\"\\\\'


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("U", {"raw_path": HOSTILE}),
        ("q", {"query_string": HOSTILE}),
        ("m", {"method": HOSTILE.decode("latin-1")}),
        ("a", {"headers": [(b"user-agent", HOSTILE)]}),
        ("f", {"headers": [(b"referer", HOSTILE)]}),
        ("{x}i", {"headers": [(b"x", HOSTILE)]}),
        ("S", {"scheme": HOSTILE.decode("latin-1")}),
        ("H", {"http_version": HOSTILE.decode("latin-1")}),
    ],
)
def test_hostile_bytes(name: str, scope: dict[str, Any]) -> None:
    assert atoms(scope)[name] == ESCAPED


def test_hostile_client_of_a_proxy_header() -> None:
    assert atoms({"client": ("1.1.1.1\n", 0)})["h"] == "1.1.1.1\\x0a:0"


def test_hostile_response_header() -> None:
    assert atoms(response={"status": 200, "headers": [(b"x", HOSTILE)]})["{x}o"] == ESCAPED


@given(st.text())
def test_escaped_text_is_printable_ascii_and_stays_in_its_quotes(text: str) -> None:
    result = escape(text)
    assert re.fullmatch(r'(?:[ !#-\[\]-~]|\\["\\]|\\x[0-9a-f]{2})*', result)


@given(path=st.binary(), query=st.binary(), header=st.binary())
def test_one_request_is_one_line(path: bytes, query: bytes, header: bytes) -> None:
    scope = {
        "raw_path": path,
        "query_string": query,
        "headers": [(b"user-agent", header), (b"referer", header)],
    }
    line = Config.access_log_format % atoms(scope)
    assert line.isprintable()
    assert len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) == 6


# --- the logger's two ways


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(name="collector")
def _collector() -> Collector:
    return Collector()


def config_with(collector: logging.Handler, **options: Any) -> Config:
    target = logging.Logger("access")
    target.addHandler(collector)
    return Config.from_mapping(access_log=target, access_log_format="%(r)s %(s)s %(b)s", **options)


def test_log_access(collector: Collector) -> None:
    logger = Logger(config_with(collector))
    logger.log_access(SCOPE, 200, [], 42, 0.5)
    logger.log_access(SCOPE, None, [], 0, 0.5)
    lines = [record.getMessage() for record in collector.records]
    assert lines == ["GET /a%20b HTTP/1.1 200 42", "GET /a%20b HTTP/1.1 - -"]
    assert collector.records[0].args["a"] == "Hypercorn"  # what structured formatters read


def test_the_level_of_the_error_log_does_not_silence_access_records(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Q-L-5."""
    Logger(Config.from_mapping(access_log="-", log_level="ERROR")).log_access(SCOPE, 200, [], 1, 0)
    assert '"GET /a%20b HTTP/1.1" 200 1 "here" "Hypercorn"' in capsys.readouterr().out


def test_no_failure_reaches_the_server(collector: Collector, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError(28, "No space left on device")

    Logger(config_with(Full())).log_access(SCOPE, 200, [], 1, 0)
    assert capsys.readouterr().err == ""

    class Broken(Logger):
        def atoms(self, *args: Any) -> AccessLogAtoms:
            raise KeyError("atoms")

    Broken(config_with(collector)).log_access(SCOPE, 200, [], 1, 0)
    assert "The access record cannot be written" in capsys.readouterr().err


def never(coroutine: Any) -> None:
    raise AssertionError("spawned")


def test_writer_is_none_when_off() -> None:
    assert access_writer(Logger(Config()), never) is None


def test_writer_is_synchronous_for_our_logger(collector: Collector) -> None:
    class Mine(Logger):
        async def error(self, message: str, *args: Any, **kwargs: Any) -> None: ...

    for cls in (Logger, Mine):
        logger = cls(config_with(collector))
        writer = access_writer(logger, never)
        assert writer is not None
        writer(SCOPE, 200, [], 3, 0)
    assert len(collector.records) == 2


def test_writer_spawns_the_coroutine_of_a_subclass() -> None:
    seen: list[Any] = []

    class Mine(Logger):
        async def access(self, request: Any, response: Any, request_time: float) -> None:
            seen.append((request, response, request_time))

    class Grandchild(Mine):
        pass

    def spawn(coroutine: Any) -> None:
        with pytest.raises(StopIteration):
            coroutine.send(None)

    for cls in (Mine, Grandchild):
        writer = access_writer(cls(Config()), spawn)
        assert writer is not None
        writer(SCOPE, 200, [(b"a", b"b")], 3, 0.5)
        writer(SCOPE, None, [], 0, 0.5)
        assert seen[-2:] == [
            (SCOPE, {"status": 200, "headers": [(b"a", b"b")], "body_bytes": 3}, 0.5),
            (SCOPE, None, 0.5),
        ]


def test_subclass_of_a_subclass_that_returns_to_the_synchronous_way(collector: Collector) -> None:
    class Mine(Logger):
        async def access(self, request: Any, response: Any, request_time: float) -> None:
            raise AssertionError

    class Fast(Mine):
        def log_access(self, *args: Any) -> None:
            super().log_access(*args)

    writer = access_writer(Fast(config_with(collector)), never)
    assert writer is not None
    writer(SCOPE, 200, [], 3, 0)
    assert len(collector.records) == 1


def run(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def test_the_asynchronous_access_of_earlier_releases(collector: Collector) -> None:
    logger = Logger(config_with(collector))
    run(logger.access(SCOPE, RESPONSE, 0.5))
    run(logger.access(SCOPE, None, 0.5))
    lines = [record.getMessage() for record in collector.records]
    assert lines == ["GET /a%20b HTTP/1.1 200 5", "GET /a%20b HTTP/1.1 - -"]
