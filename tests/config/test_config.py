"""`Config`: defaults, loaders, precedence, what is refused and what only warns."""

from __future__ import annotations

import logging
import pickle
import ssl
import warnings
from pathlib import Path
from typing import Any

import pytest

import hypercorn.config
from hypercorn.config import BYTES, OCTETS, SECONDS, Config
from hypercorn.errors import ConfigError
from hypercorn.logging import Logger
from hypercorn.options import BY_NAME, OPTIONS, STORED_AS, UNSET, nearest

# Earlier releases' attributes and defaults, which programs rely upon.
DEFAULTS: dict[str, Any] = {
    "access_log_format": '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "accesslog": None,
    "alpn_protocols": ["h2", "http/1.1"],
    "alt_svc_headers": [],
    "backlog": 100,
    "bind": ["127.0.0.1:8000"],
    "ca_certs": None,
    "certfile": None,
    "ciphers": "ECDHE+AESGCM",
    "daemon": True,
    "debug": False,
    "dogstatsd_tags": "",
    "errorlog": "-",
    "graceful_timeout": 3.0,
    "group": None,
    "h11_max_incomplete_size": 16384,
    "h11_pass_raw_headers": False,
    "h2_max_concurrent_streams": 100,
    "h2_max_header_list_size": 65536,
    "h2_max_inbound_frame_size": 16384,
    "include_date_header": True,
    "include_server_header": True,
    "insecure_bind": [],
    "keep_alive_timeout": 5.0,
    "keep_alive_max_requests": 1000,
    "keyfile": None,
    "keyfile_password": None,
    "logconfig": None,
    "logconfig_dict": None,
    "logger_class": Logger,
    "loglevel": "INFO",
    "max_app_queue_size": 10,
    "max_requests": None,
    "max_requests_jitter": 0,
    "pid_path": None,
    "quic_bind": [],
    "read_timeout": None,
    "root_path": "",
    "server_names": [],
    "shutdown_timeout": 60.0,
    "ssl_handshake_timeout": 60.0,
    "startup_timeout": 60.0,
    "statsd_host": None,
    "statsd_prefix": "",
    "umask": None,
    "use_reloader": False,
    "user": None,
    "verify_flags": None,
    "verify_mode": None,
    "websocket_max_message_size": 16777216,
    "websocket_ping_interval": None,
    "worker_class": "asyncio",
    "workers": 1,
    "wsgi_max_body_size": 16777216,
    # new in 1.0
    "max_request_line_size": 8192,
    "max_header_size": 16384,
    "max_header_count": 100,
    "max_body_size": None,
    "header_timeout": 10.0,
    "body_timeout": 30.0,
    "write_timeout": 60.0,
    "max_unread_body": 65536,
    "linger_timeout": 2.0,
    "write_buffer_size": 65536,
    "lifespan": "auto",
    "runtime": "auto",
    "access_log_client_port": True,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_defaults(name: str, value: object) -> None:
    config = Config()
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(value)


def test_table_and_class_agree() -> None:
    assert set(DEFAULTS) == set(BY_NAME) - {"application_path", "cert_reqs"}
    annotated = set(Config.__annotations__)
    assert annotated - {"_log", "_quic_addresses"} == {
        STORED_AS.get(option.name, option.name) for option in OPTIONS if not option.alias_of
    }


def test_every_default_is_valid() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Config().validate()
    for option in OPTIONS:
        if option.default is not UNSET:
            assert option.convert(option.default, "default") == option.default


def test_the_application_has_no_default() -> None:
    assert not hasattr(Config(), "application_path")


def test_units() -> None:
    assert (BYTES, OCTETS, SECONDS) == (1, 1, 1.0)


# --- attributes


def test_class_level_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "keep_alive_timeout", 50000)
    monkeypatch.setattr(Config, "server_names", ["a.test"])
    monkeypatch.setattr(Config, "h11_max_incomplete_size", 99)
    config = Config()
    assert config.keep_alive_timeout == 50000
    assert config.server_names == ["a.test"]
    assert config.max_header_size == 99


def test_lists_are_not_shared() -> None:
    """Q-P-12."""
    one, other = Config(), Config()
    for name in ("bind", "server_names", "alpn_protocols", "alt_svc_headers", "quic_bind", "insecure_bind"):
        getattr(one, name).append("x")
        assert getattr(one, name) != getattr(other, name)
        assert getattr(Config(), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", ["bind", "insecure_bind", "quic_bind"])
def test_a_text_is_a_list_of_one_bind(name: str) -> None:
    config = Config()
    setattr(config, name, "localhost:1")
    assert getattr(config, name) == ["localhost:1"]


def test_subclasses() -> None:
    class Mine(Config):
        bind = "127.0.0.1:0"  # type: ignore[assignment]
        workers = 3

        def __init__(self, colour: str) -> None:
            self.colour = colour

        @property
        def ssl_enabled(self) -> bool:
            return True

        def create_ssl_context(self) -> ssl.SSLContext | None:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

    config = Mine("red")
    config.server_names.append("x")
    assert Config().server_names == []
    assert config.workers == 3
    assert config.create_ssl_context() is not None
    sockets = config.create_sockets()
    assert len(sockets.secure_sockets) == 1
    sockets.close()


def test_root_path_loses_its_last_slash() -> None:
    config = Config()
    config.root_path = "/a/"
    assert config.root_path == "/a"


def test_the_older_name_of_max_header_size() -> None:
    config = Config()
    config.h11_max_incomplete_size = 4
    assert config.max_header_size == 4
    config.max_header_size = 5
    assert config.h11_max_incomplete_size == 5


def test_cert_reqs_is_deprecated_and_write_only() -> None:
    config = Config()
    with pytest.warns(Warning, match="Please use verify_mode instead"):
        config.cert_reqs = 2
    assert config.verify_mode is ssl.VerifyMode.CERT_REQUIRED
    with pytest.raises(AttributeError):
        config.cert_reqs  # noqa: B018


def test_pickling_keeps_values_and_class_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "keep_alive_timeout", 50)
    monkeypatch.setattr(Config, "_bind", ["localhost:1"])
    config = Config.from_mapping(workers=2, accesslog=logging.getLogger("picked"))
    assert config.log is not None
    data = pickle.dumps(config)
    monkeypatch.undo()
    copy = pickle.loads(data)
    assert (copy.keep_alive_timeout, copy.bind, copy.workers) == (50, ["localhost:1"], 2)
    assert copy.accesslog is config.accesslog
    assert copy._log is None  # handlers belong to a process
    assert copy.graceful_timeout == 3.0


def test_the_log_is_made_once() -> None:
    class Mine(Logger):
        pass

    config = Config.from_mapping(logger_class=Mine)
    assert isinstance(config.log, Mine)
    assert config.log is config.log


def test_response_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypercorn.config, "time", lambda: 1_512_229_395)
    config = Config()
    date = (b"date", b"Sat, 02 Dec 2017 15:43:15 GMT")
    assert config.response_headers("test") == [date, (b"server", b"hypercorn-test")]
    config.include_server_header = False
    config._quic_addresses = [("127.0.0.1", 4433)]
    assert config.response_headers("h11") == [date, (b"alt-svc", b'h3=":4433"; ma=3600')]
    config.include_date_header = False
    config.alt_svc_headers = ['h3=":1"']
    assert config.response_headers("h11") == [(b"alt-svc", b'h3=":1"')]


# --- loaders


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


PYTHON = """
import os
from logging import getLogger
access_log_format = "bob"
bind = "127.0.0.1:5555"
h11_max_incomplete_size = 4
_private = 1
cores = 2
def helper(): ...
"""


@pytest.mark.parametrize("name", ["config.py", "hypercorn.conf"])
def test_from_pyfile(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, PYTHON)
    for spelling in (path, str(path), bytes(path)):
        config = Config.from_pyfile(spelling)
        assert (config.access_log_format, config.bind, config.max_header_size) == (
            "bob",
            ["127.0.0.1:5555"],
            4,
        )
        assert config.cores == 2  # type: ignore[attr-defined]  # its own variable, silently
        assert not hasattr(config, "helper")
        assert not hasattr(config, "os")
        assert not hasattr(config, "_private")


def test_from_toml(tmp_path: Path) -> None:
    text = 'bind = ["127.0.0.1:5555"]\nh11_max_incomplete_size = 4\n'
    text += 'graceful_timeout = "1m"\nmax_body_size = "1MiB"\n'
    config = Config.from_toml(write(tmp_path / "c.toml", text))
    assert (config.bind, config.max_header_size) == (["127.0.0.1:5555"], 4)
    assert (config.graceful_timeout, config.max_body_size) == (60.0, 1048576)


def test_from_mapping_keyword_arguments_win() -> None:
    config = Config.from_mapping({"workers": 2, "backlog": 7}, workers=3)
    assert (config.workers, config.backlog) == (3, 7)
    assert Config.from_mapping({"log": 1, "ssl_enabled": True}).ssl_enabled is False  # read-only, ignored


def test_from_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "some_config.py", PYTHON + "\nclass Production:\n    workers = 9\n")

    class Simple:
        workers = 5

    assert Config.from_object(Simple).workers == 5
    assert Config.from_object(Simple()).workers == 5
    assert Config.from_object({"workers": 6}).workers == 6
    assert Config.from_object("some_config").access_log_format == "bob"
    assert Config.from_object("some_config.Production").workers == 9


def test_from_object_copies_a_config() -> None:
    """Q-P-13."""
    source = Config.from_mapping(workers=4, bind="localhost:1", h11_max_incomplete_size=77)
    copy = Config.from_object(source)
    assert (copy.workers, copy.bind, copy.max_header_size) == (4, ["localhost:1"], 77)


@pytest.mark.parametrize("name", ["nope_nope", "nope_nope.attribute", "json.nope_nope"])
def test_from_object_that_does_not_exist(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' cannot be imported"):
        Config.from_object(name)


def test_an_import_error_inside_a_config_module_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path / "broken_config.py", "import not_installed_anywhere\n")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        Config.from_object("broken_config")


@pytest.mark.parametrize("load", [Config.from_toml, Config.from_pyfile])
def test_missing_files(load: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


# --- wrong values and unknown names


def test_errors_name_option_value_expectation_and_source(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", 'workers = "many"\n')
    with pytest.raises(ConfigError) as caught:
        Config.from_toml(path)
    assert str(caught.value) == f"workers = 'many' (file {path}): expected a whole number of 0 or more"
    with pytest.raises(ConfigError, match=r"^max_body_size = -1 \(Config\): expected a size in bytes"):
        Config.from_mapping(max_body_size=-1)
    with pytest.raises(ConfigError, match=r"\(env HYPERCORN_BACKLOG\)"):
        Config().update_from_environ({"HYPERCORN_BACKLOG": "x"})
    with pytest.raises(
        ConfigError, match=r"bind = 'a:b' \(Config\): 'a:b' has no port from 0 to 65535; expected host"
    ):
        Config.from_mapping(bind="a:b")


def test_validate_checks_what_was_set_by_hand() -> None:
    config = Config()
    config.workers = "3"  # type: ignore[assignment]
    config.loglevel = "debug"
    config.graceful_timeout = 7
    config.bind = ("localhost:1",)  # type: ignore[assignment]
    config.validate()
    assert (config.workers, config.loglevel, config.graceful_timeout) == (3, "DEBUG", 7.0)
    assert config.bind == ["localhost:1"]
    config.keep_alive_timeout = -1
    with pytest.raises(ConfigError, match="keep_alive_timeout = -1"):
        config.validate()


def test_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_mapping(keyfile_password=["hunter2"])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("keep_alive_timout", "keep_alive_timeout"), ("worker", "workers"), ("binds", "bind")],
)
def test_unknown_names_warn_and_are_kept(name: str, hint: str, tmp_path: Path) -> None:
    with pytest.warns(Warning, match=rf"unknown option {name} \(Config\); did you mean {hint}\?"):
        config = Config.from_mapping({name: 1})
    assert getattr(config, name) == 1
    with pytest.warns(Warning, match=f"did you mean {hint}"):
        Config.from_toml(write(tmp_path / "c.toml", f"{name} = 1\n"))


def test_a_name_like_no_other_warns_without_a_hint() -> None:
    with pytest.warns(Warning, match=r"unknown option zzzz \(Config\)$"):
        Config.from_mapping(zzzz=1)


def test_a_likely_typo_in_a_python_file_warns(tmp_path: Path) -> None:
    with pytest.warns(Warning, match="did you mean workers"):
        Config.from_pyfile(write(tmp_path / "c.py", "worker = 1\n"))


def test_attributes_of_a_subclass_are_known() -> None:
    class Mine(Config):
        colour = "red"

    assert Mine.from_mapping(colour="blue").colour == "blue"


def test_settings_without_effect_warn() -> None:
    with pytest.warns(Warning, match="certfile without keyfile: TLS is off"):
        Config.from_mapping(certfile="a").validate()
    with pytest.warns(Warning, match="quic_bind has no effect without certfile and keyfile"):
        Config.from_mapping(quic_bind="localhost:1").validate()


# --- environment


def test_environment() -> None:
    config = Config()
    config.update_from_environ(
        {
            "HYPERCORN_BIND": "localhost:1, unix:/a",
            "HYPERCORN_DEBUG": "yes",
            "HYPERCORN_HEADER_TIMEOUT": "off",
            "HYPERCORN_PURE_PYTHON": "1",
            "HYPERCORN_PORT": "tcp://10.0.0.1:80",
            "PATH": "/bin",
        }
    )
    assert config.bind == ["localhost:1", "unix:/a"]
    assert config.debug is True
    assert config.header_timeout is None


def test_a_likely_typo_in_the_environment_warns() -> None:
    with pytest.warns(Warning, match="HYPERCORN_WORKRES.*did you mean HYPERCORN_WORKERS"):
        Config().update_from_environ({"HYPERCORN_WORKRES": "2"})


def test_a_config_reads_no_environment_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_WORKERS", "9")
    assert Config().workers == 1


def test_nearest() -> None:
    assert nearest("bnd") == "bind"
    assert nearest("qqqqqq") is None
