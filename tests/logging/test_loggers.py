"""The two loggers: where they write, at which level, and what of the user's logging they leave alone."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.live import Records

from hypercorn.config import Config
from hypercorn.logging import Logger


@pytest.mark.parametrize("kind", ["access", "error"])
def test_targets(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(f"hypercorn.{kind}"), "handlers", [])  # pytest has handlers of its own
    user = logging.getLogger("of the user")
    path = str(tmp_path / "a.log")
    cases: list[tuple[Any, Any]] = [("-", logging.StreamHandler), (path, logging.FileHandler)]
    for target, handler in cases:
        logger = getattr(Logger(Config.from_mapping({f"{kind}log": target})), f"{kind}_logger")
        assert logger.name == f"hypercorn.{kind}"
        assert [isinstance(item, handler) for item in logger.handlers] == [True], logger.handlers
    logger = getattr(Logger(Config.from_mapping({f"{kind}log": user})), f"{kind}_logger")
    assert logger is user
    assert user.handlers == []
    for item in logging.getLogger(f"hypercorn.{kind}").handlers:
        item.close()


@pytest.mark.parametrize("target", [None, ""])
def test_off(target: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    logger = Logger(Config.from_mapping(access_log=target, error_log=target))
    assert logger.access_logger is None
    logger.log_error("unheard")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
def test_level(level: str) -> None:
    logger = Logger(Config.from_mapping(log_level=level.lower(), access_log="-"))
    assert logger.error_logger.getEffectiveLevel() == getattr(logging, level)
    assert logger.getEffectiveLevel() == getattr(logging, level)  # delegated
    assert logger.access_logger is not None
    assert logger.access_logger.getEffectiveLevel() == logging.INFO


def test_attributes_that_exist_nowhere() -> None:
    with pytest.raises(AttributeError):
        Logger(Config()).nothing_like_that  # noqa: B018
    with pytest.raises(AttributeError):
        Logger.__new__(Logger).error_logger  # noqa: B018


def test_line_format(capsys: pytest.CaptureFixture[str]) -> None:
    Logger(Config()).log_info("Running on %s (CTRL + C to quit)", "http://127.0.0.1:8000")
    line = capsys.readouterr().err
    assert line.endswith("[INFO] Running on http://127.0.0.1:8000 (CTRL + C to quit)\n")
    assert line.startswith("[2")


def test_synchronous_methods(capsys: pytest.CaptureFixture[str]) -> None:
    logger = Logger(Config.from_mapping(log_level="DEBUG"))
    logger.log_debug("a %s", 1)
    logger.log_info("b")
    logger.log_warning("c")
    try:
        raise ValueError("inside")
    except ValueError as error:
        logger.log_error("d", exc_info=error)
    text = capsys.readouterr().err
    for part in ("[DEBUG] a 1", "[INFO] b", "[WARNING] c", "[ERROR] d", "ValueError: inside"):
        assert part in text


def test_asynchronous_methods_of_earlier_releases(caplog: pytest.LogCaptureFixture) -> None:
    logger = Logger(Config.from_mapping(log_level="DEBUG"))
    for name in ("critical", "error", "warning", "info", "debug"):
        with pytest.raises(StopIteration):
            getattr(logger, name)("hello %s", name).send(None)
    with pytest.raises(StopIteration):
        logger.log(logging.WARNING, "hello log").send(None)
    try:
        raise ValueError
    except ValueError:
        with pytest.raises(StopIteration):
            logger.exception("hello exception").send(None)
    assert [record.levelname for record in caplog.records] == [
        "CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "WARNING", "ERROR",
    ]  # fmt: skip
    assert caplog.records[-1].exc_info is not None
    assert caplog.records[0].getMessage() == "hello critical"


def test_place_of_a_synchronous_record_is_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    Logger(Config()).log_error("here")
    assert caplog.records[0].filename == Path(__file__).name


# --- what belongs to the user


def test_handlers_of_the_user_stay() -> None:
    """Q-L-5."""
    handler = logging.NullHandler()
    logging.getLogger("hypercorn.error").addHandler(handler)
    for _ in range(2):
        assert Logger(Config()).error_logger.handlers == [handler]


def test_a_second_logger_adds_no_second_handler(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        logger = Logger(Config())
    logger.log_error("once")
    assert capsys.readouterr().err.count("once") == 1


def test_another_file_closes_the_one_before(tmp_path: Path) -> None:
    first = Logger(Config.from_mapping(error_log=str(tmp_path / "1.log"))).error_logger.handlers[0]
    logger = Logger(Config.from_mapping(error_log=str(tmp_path / "2.log")))
    assert first.stream is None  # type: ignore[attr-defined]
    logger.log_error("second")
    logger.flush()
    assert (tmp_path / "1.log").read_text() == ""
    assert "second" in (tmp_path / "2.log").read_text()


def test_no_line_twice_where_the_root_logger_writes_to_the_same_stream(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = Logger(Config())
    handler = logging.StreamHandler(sys.stderr)  # what logging.basicConfig() in an application does
    logging.getLogger().addHandler(handler)
    try:
        logger.log_error("once")
    finally:
        logging.getLogger().removeHandler(handler)
    assert capsys.readouterr().err.count("once") == 1
    logger.log_error("again")
    assert capsys.readouterr().err.count("again") == 1


def test_access_records_do_not_propagate(caplog: pytest.LogCaptureFixture) -> None:
    logger = Logger(Config.from_mapping(access_log="-"))
    assert logger.access_logger is not None
    logger.access_logger.info("mine alone")
    assert caplog.records == []


# --- logging configurations

MAPPING = {
    "version": 1,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "FILE"}},
    "loggers": {"hypercorn.error": {"level": "DEBUG", "handlers": ["file"], "propagate": False}},
}
TOML = """
version = 1
[handlers.file]
class = "logging.FileHandler"
filename = 'FILE'
[loggers."hypercorn.error"]
level = "DEBUG"
handlers = ["file"]
"""
INI = """
[loggers]
keys = root,error
[handlers]
keys = file
[formatters]
keys = plain
[logger_root]
handlers =
[logger_error]
qualname = hypercorn.error
level = DEBUG
handlers = file
propagate = 0
[handler_file]
class = FileHandler
formatter = plain
args = ('%(here)s/out.log',)
[formatter_plain]
format = %(message)s
"""


YAML = """
version: 1
handlers:
  file: {class: logging.FileHandler, filename: 'FILE'}
loggers:
  hypercorn.error: {level: DEBUG, handlers: [file]}
"""


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("form", ["dict", "json", "toml", "yaml", "yml", "ini"])
def test_logconfig(form: str, named: bool, tmp_path: Path) -> None:
    """By the file's extension, or by what stands before its path."""
    if form in ("yaml", "yml"):
        pytest.importorskip("yaml")
    out = str(tmp_path / "out.log")
    other = logging.getLogger("somebody.else")
    root = list(logging.getLogger().handlers)
    config = Config()
    if form == "dict":
        config.log_config_dict = json.loads(json.dumps(MAPPING).replace('"FILE"', json.dumps(out)))
    else:
        texts = {"json": json.dumps(MAPPING), "toml": TOML, "yaml": YAML, "yml": YAML, "ini": INI}
        path = tmp_path / (f"log.{form}" if named else "log.conf")
        path.write_text(texts[form].replace("FILE", out))
        config.log_config = str(path) if named or form == "ini" else f"{form}:{path}"
    try:
        Logger(config).log_debug("configured")
    finally:
        for handler in root:  # an ini file always replaces those of the root logger
            if handler not in logging.getLogger().handlers:
                logging.getLogger().addHandler(handler)
    assert Path(out).read_text() == "configured\n"
    assert not other.disabled


@pytest.mark.parametrize(
    ("text", "problem"), [("a: [", "is no YAML"), ("- a", "is no mapping"), (None, "needs the package PyYAML")]
)
def test_a_logconfig_in_yaml_that_cannot_be_used(
    text: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.yaml"
    if text is None:
        monkeypatch.setitem(sys.modules, "yaml", None)
    else:
        pytest.importorskip("yaml")
        path.write_text(text)
    with pytest.raises(ValueError, match=f"log.yaml {problem}"):
        Logger(Config(log_config=str(path)))


def test_a_logconfig_in_json_that_is_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"log\.json is no mapping"):
        Logger(Config(log_config=str(path)))


def test_what_is_no_fault_has_its_traceback_as_text(tmp_path: Path) -> None:
    """Records below WARNING keep no frames; in the log they read as others do, also as JSON."""
    texts = []
    for name, options in (("plain", {}), ("json", {"log_format": "json"})):
        path = tmp_path / name
        logger = Logger(Config(error_log=str(path), log_level="DEBUG", **options))
        kept = Records()
        logger.error_logger.addHandler(kept)
        for write in (logger.log_debug, logger.log_info, logger.log_warning):
            try:
                raise KeyError("gone")
            except KeyError as error:
                write("It %s", "ended", exc_info=error)
        logger.flush()
        assert [record.exc_info is None for record in kept.records] == [True, True, False]
        assert {(record.filename, record.funcName) for record in kept.records} == {
            ("test_loggers.py", "test_what_is_no_fault_has_its_traceback_as_text")
        }
        texts.append(path.read_text())
    assert texts[0].count("It ended\nTraceback (most recent call last):\n") == 3
    lines = [json.loads(line) for line in texts[1].splitlines()]
    assert [line["message"] for line in lines] == ["It ended"] * 3
    assert all(line["exception"].endswith("KeyError: 'gone'") for line in lines)


def test_what_is_not_written_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Logger(Config(error_log="-", log_level="INFO"))
    monkeypatch.setattr("hypercorn.logs.logger.format_exception", None)
    logger.log_debug("It ended", exc_info=KeyError("gone"))


# -- handlers of the application, and what tracebacks show


class Console:
    """What a RichHandler writes to."""

    def __init__(self) -> None:
        self.file = sys.stdout


class ConsoleHandler(logging.Handler):
    """As that of the package rich: a handler without a stream, which prints."""

    console: Any = None

    def emit(self, record: logging.LogRecord) -> None:
        print("theirs:", record.getMessage(), file=self.console.file)


def root_handler(kind: str) -> logging.Handler:
    if kind == "rich":
        handler = ConsoleHandler()
        handler.console = Console()
        return handler
    stream = logging.StreamHandler(sys.stdout if kind == "stdout" else sys.stderr)
    stream.setFormatter(logging.Formatter("theirs: %(message)s"))
    return stream


@pytest.mark.parametrize("kind", ["stdout", "stderr", "rich"])
def test_a_root_handler_does_not_double_records(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application calls `logging.basicConfig`; what its handler does not take is shown by ours."""
    monkeypatch.setattr(logging.getLogger("hypercorn.error"), "handlers", [])
    logger = Logger(Config())
    handler = root_handler(kind)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    handler.setLevel(logging.WARNING)
    logger.log_info("small")
    logger.log_warning("large")
    logger.flush()
    said = "".join(capsys.readouterr())
    assert said.count("theirs: large\n") == said.count("large") == 1
    assert said.count("[INFO] small\n") == said.count("small") == 1


def test_tracebacks_begin_where_the_application_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypercorn.logs.tracebacks import application_frames

    namespace: dict[str, Any] = {"__name__": "hypercorn.asgi.calling"}
    exec("def call(app): app()", namespace)

    def app() -> None:
        raise ValueError("x")

    try:
        namespace["call"](app)
    except ValueError as error:
        trace = error.__traceback__
    assert trace is not None
    inner = trace.tb_next  # past this test's frame
    assert application_frames(inner).tb_frame.f_code.co_name == "app"
    assert application_frames(trace) is trace, "what called the server stays"
    exec("def fail(): raise ValueError", namespace)
    with pytest.raises(ValueError) as caught:
        namespace["fail"]()
    whole = caught.tb.tb_next
    assert application_frames(whole) is whole, "an error of the server's own"
    assert application_frames(None) is None
