"""Each option has one name, which is its attribute, key, flag and variable; each other name works in all of them."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import hypercorn.__main__
from hypercorn.config import Config
from hypercorn.config.options import ALIASES, BY_NAME, OPTIONS
from hypercorn.errors import ConfigError

# A value of each option that is not its default, as text and as it is then read.
VALUES: dict[str, tuple[str, Any]] = {
    "access_log": ("a.log", "a.log"),
    "access_log_format": ("json", "json"),
    "certificates": ("a.test c.pem k.pem", ["a.test c.pem k.pem"]),
    "error_log": ("e.log", "e.log"),
    "headers": ("X-A: b", ["X-A: b"]),
    "keep_alive_timeout": ("75s", 75.0),
    "log_config": ("l.ini", "l.ini"),
    "log_level": ("debug", "DEBUG"),
    "max_header_size": ("4KiB", 4096),
    "pid_path": ("a.pid", "a.pid"),
    "process_name": ("shop", "shop"),
    "reload": ("on", True),
    "reload_dirs": (".", ["."]),
    "server_names": ("a.test", ["a.test"]),
}
NAMES = [name for option in OPTIONS if option.name in VALUES for name in (option.name, *option.aliases)]
# Flags and keys of release 0.18.0 whose names differ.
EARLIER = {
    "accesslog": "--access-logfile --access-log",
    "access_log_format": "--access-logformat",
    "errorlog": "--error-logfile --log-file --error-log",
    "h11_max_incomplete_size": "",
    "keep_alive_timeout": "--keep-alive",
    "logconfig": "--log-config",
    "logconfig_dict": "",
    "loglevel": "--log-level",
    "pid_path": "--pid",
    "server_names": "--server-name",
    "use_reloader": "--reload",
}


def written(name: str) -> Any:
    """The text that sets an option, by any of its names."""
    return VALUES[ALIASES.get(name, name)][0]


def holds(config: Config, name: str) -> bool:
    """True where the option has that value, by each of its names."""
    option = BY_NAME[ALIASES.get(name, name)]
    value = VALUES[option.name][1]
    return all(getattr(config, one) == value for one in (option.name, *option.aliases))


def test_every_option_with_another_name_is_tried() -> None:
    assert set(VALUES) == set(ALIASES.values()) - {"log_config_dict"}  # that is no text


@pytest.mark.parametrize("key", EARLIER)
def test_the_names_of_earlier_releases_are_kept(key: str) -> None:
    option = BY_NAME[ALIASES.get(key, key)]
    assert set(EARLIER[key].split()) <= {*option.all_flags, *option.alias_flags}


@pytest.mark.parametrize("name", NAMES)
def test_keys(name: str, tmp_path: Path) -> None:
    value = written(name)
    assert holds(Config.from_mapping({name: value}), name)
    assert holds(Config.from_object(type("Settings", (), {name: value})), name)
    assert holds(Config(**{name: value}), name)
    toml, python = tmp_path / "c.toml", tmp_path / "c.py"
    toml.write_text(f"{name} = {json.dumps(value)}\n")
    python.write_text(f"{name} = {value!r}\n")
    assert holds(Config.from_toml(toml), name)
    assert holds(Config.from_pyfile(python), name)


@pytest.mark.parametrize("name", NAMES)
def test_attributes(name: str) -> None:
    config = Config()
    setattr(config, name, written(name))
    assert holds(config, name)
    assert holds(pickle.loads(pickle.dumps(config)), name)
    assert config.origin(name) == "Config"


@pytest.mark.parametrize("name", NAMES)
def test_defaults_of_a_class(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = written(name)
    mine = type("Mine", (Config,), {name: text})
    assert holds(mine(), name)
    assert holds(type("More", (mine,), {})(), name)
    monkeypatch.setattr(Config, name, text)
    config = Config()
    assert holds(config, name)
    option = BY_NAME[ALIASES.get(name, name)]
    for other in (option.name, *option.aliases):
        setattr(config, name, text)
        setattr(config, other, option.default)
        assert {str(getattr(config, one)) for one in (option.name, *option.aliases)} == {str(option.default)}


@pytest.mark.parametrize("name", NAMES)
def test_variables(name: str) -> None:
    config = Config()
    config.update_from_environ({f"HYPERCORN_{name.upper()}": written(name)})
    assert holds(config, name)
    assert config.origin(name) == f"env HYPERCORN_{name.upper()}"


@pytest.mark.parametrize("name", NAMES)
def test_flags(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if ALIASES.get(name, name) == "process_name":
        pytest.importorskip("setproctitle")
    run = Mock(return_value=0)
    monkeypatch.setattr(hypercorn.__main__, "run", run)
    monkeypatch.setattr(Config, "certfile", "c.pem")
    monkeypatch.setattr(Config, "keyfile", "k.pem")
    flag = "--" + name.replace("_", "-")
    values = [] if BY_NAME[ALIASES.get(name, name)].kind.switch else [written(name)]
    assert hypercorn.__main__.main([flag, *values, "module:app"]) == 0
    assert holds(run.call_args.args[0], name)
    assert capsys.readouterr().err == ""


def test_where_both_names_are_given_the_option_counts() -> None:
    with pytest.warns(Warning, match=r"^loglevel and log_level are both set \(Config\): log_level counts$"):
        config = Config.from_mapping({"log_level": "ERROR", "loglevel": "DEBUG"})
    assert config.log_level == "ERROR"
    config = Config()
    with pytest.warns(Warning, match=r"^keep_alive and keep_alive_timeout are both set \(env\): keep_alive_timeout"):
        config.update_from_environ({"HYPERCORN_KEEP_ALIVE": "1", "HYPERCORN_KEEP_ALIVE_TIMEOUT": "2"})
    assert config.keep_alive_timeout == 2.0
    assert Config.from_mapping({"log_level": "ERROR", "loglevel": "ERROR"}).log_level == "ERROR"


def test_a_source_that_is_read_later_wins_by_whatever_name() -> None:
    config = Config.from_mapping(log_level="ERROR")
    config.update_from_environ({"HYPERCORN_LOGLEVEL": "DEBUG"})
    assert config.log_level == "DEBUG"


def test_an_error_names_what_was_written() -> None:
    with pytest.raises(ConfigError, match=r"^keep_alive = 'soon' \(Config\)"):
        Config.from_mapping(keep_alive="soon")


def test_the_representation_shows_what_is_not_default() -> None:
    class Mine(Config):
        workers = 3

    assert repr(Config()) == "Config()"
    assert repr(Config(loglevel="debug", bind="[::]:80")) == "Config(bind=['[::]:80'], log_level='DEBUG')"
    assert repr(Config(keyfile_password="hunter2")) == "Config(keyfile_password=***)"
    assert repr(Mine(application_path="a:b")) == "Mine(application_path='a:b', workers=3)"


def test_a_function_of_a_settings_file_is_no_option(tmp_path: Path) -> None:
    path = tmp_path / "c.py"
    path.write_text("from importlib import reload\nfrom hypercorn.logging import Logger as logger_class\nworkers = 2\n")
    config = Config.from_pyfile(path)
    assert (config.reload, config.workers) == (False, 2)
    assert isinstance(config.log, config.logger_class)
    assert logging.Logger not in (type(config.access_log), config.logger_class)
