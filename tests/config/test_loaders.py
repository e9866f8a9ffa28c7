"""Where options come from: files, objects, the environment; what is refused there and what only warns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hypercorn.config import Config
from hypercorn.config.options import ALIASES, nearest
from hypercorn.errors import ConfigError


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


def test_an_import_error_inside_a_config_module_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with pytest.raises(ConfigError, match=r"bind = 'a:b' \(Config\): 'a:b' has no port from 0 to 65535; expected host"):
        Config.from_mapping(bind="a:b")


def test_what_is_assigned_is_converted() -> None:
    config = Config.from_mapping(workers=2, keep_alive_timeout=7)
    config.workers = "3"
    config.log_level = "debug"
    config.graceful_timeout = 7
    config.bind = ("localhost:1",)
    assert (config.workers, config.log_level, config.bind) == (3, "DEBUG", ["localhost:1"])
    assert type(config.graceful_timeout) is float
    with pytest.raises(ConfigError, match=r"keep_alive_timeout = -1 \(Config\): expected a time in seconds"):
        config.keep_alive_timeout = -1
    with pytest.raises(ConfigError, match=r"^keep_alive = -1 \(Config\): expected a time in seconds"):
        config.keep_alive = -1
    assert config.keep_alive_timeout == 7.0


@pytest.mark.parametrize("name", ["max_body_size", "max_header_size", "h11_max_incomplete_size"])
def test_validate_checks_a_default_that_was_set_on_the_class(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config()
    monkeypatch.setattr(Config, ALIASES.get(name, name), "4KiB")
    config.validate()
    assert getattr(config, name) == 4096
    monkeypatch.setattr(Config, name, "none at all")
    with pytest.raises(ConfigError, match=f"{name} = 'none at all'"):
        Config()


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
    for options in ({"insecure_bind": "localhost:1"}, {"ca_certs": "a"}, {"verify_mode": "CERT_REQUIRED"}):
        with pytest.warns(Warning, match=f"{next(iter(options))} has no effect without certfile and keyfile"):
            Config.from_mapping(options).validate()


@pytest.mark.parametrize(
    "options",
    [{"keyfile": "a"}, {"http3": True}, {"quic_bind": "localhost:1"}, {"certificates": "a.example c k"}],
    ids=lambda options: next(iter(options)),
)
def test_tls_without_a_certificate_is_an_error(options: dict[str, Any]) -> None:
    """It is never plain text in place of what was asked for."""
    with pytest.raises(ConfigError, match=rf"{next(iter(options))} = .* \(Config\) needs a certificate: set certfile"):
        Config(**options).validate()


def test_the_key_may_be_in_the_file_of_the_certificate(tmp_path: Path) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN RSA PRIVATE KEY-----\nMA==\n-----END RSA PRIVATE KEY-----\n"
    both = write(tmp_path / "both.pem", key + certificate)
    config = Config(certfile=str(both))
    config.validate()
    assert config.ssl_enabled
    assert config.keyfile == str(both)
    alone = write(tmp_path / "alone.pem", certificate)
    with pytest.raises(ConfigError, match=r"certfile = .*alone.pem' \(Config\) holds no private key: set keyfile"):
        Config(certfile=str(alone)).validate()
    with pytest.raises(ConfigError, match=r"certfile = 'absent' \(Config\) cannot be read: No such file"):
        Config(certfile="absent").validate()


# --- arguments and attributes


def test_arguments_are_options() -> None:
    config = Config(bind="localhost:1", keep_alive_timeout="2m", workers=2)
    assert (config.bind, config.keep_alive_timeout, config.workers) == (["localhost:1"], 120.0, 2)
    assert config.origin("workers") == "Config"
    with pytest.raises(ConfigError, match="workers = -1"):
        Config(workers=-1)


@pytest.mark.parametrize(
    ("name", "meant"), [("worker", "workers"), ("cert_file", "certfile"), ("port", "bind"), ("colour", None)]
)
def test_an_argument_that_is_no_option_is_refused(name: str, meant: str | None) -> None:
    end = f"; did you mean {meant}\\?$" if meant else "$"
    with pytest.raises(TypeError, match=rf"^Config\(\) got unknown option {name}{end}"):
        Config(**{name: 1})


@pytest.mark.parametrize(("name", "meant"), [("worker", "workers"), ("port", "bind"), ("log_levels", "log_level")])
def test_an_attribute_that_is_no_option_warns(name: str, meant: str) -> None:
    config = Config()
    with pytest.warns(Warning, match=rf"^unknown option {name} \(Config\); did you mean {meant}\?$") as caught:
        setattr(config, name, 8000)
    assert caught[0].filename == __file__
    setattr(config, name, 8001)  # said once
    assert getattr(config, name) == 8001
    config.strict = True
    with pytest.raises(ConfigError, match=f"unknown option {name}"):
        config.validate()


def test_attributes_of_subclasses_do_not_warn() -> None:
    class Mine(Config):
        colour = "red"
        size: int

        def __init__(self) -> None:
            super().__init__(workers=2)
            self.extra = 1

    config = Mine()
    config.colour = "blue"
    config.size = 3
    assert (config.workers, config.extra, config.colour, config.size) == (2, 1, "blue", 3)
    with pytest.warns(Warning, match="did you mean workers"):
        config.wokers = 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("keepalive = 5", "did you mean keep_alive_timeout?"),
        ("threads = 4", "did you mean wsgi_threads?"),
        ("preload_app = True", "did you mean preload?"),
        ("pidfile = 'a'", "did you mean pid_path?"),
        ("host = '::'", "did you mean bind?"),
        ("limit_max_requests = 9", "did you mean max_requests?"),
        ("check_config = True", "did you mean --check-config?"),
        ("spew_all = 1\nwsgi_app = 'a:b'", "wsgi_app of gunicorn does not exist here: use the argument module:app, .*"),
        ("def on_starting(server): pass", "on_starting of gunicorn does not exist here: .* and hypercorn ctl"),
    ],
)
def test_a_configuration_of_another_server_warns(tmp_path: Path, line: str, meant: str) -> None:
    path = write(tmp_path / "c.py", f"import os\nworkers = 2\nmine = os.getpid()\n{line}\n")
    end = meant.replace("?", "\\?")
    with pytest.warns(Warning, match=rf"^unknown option \w+ \(file .*c.py\); {end}$") as caught:
        config = Config.from_pyfile(path)
    assert len(caught) == 1
    assert config.workers == 2
    config.strict = True
    with pytest.raises(ConfigError, match="unknown option"):
        config.validate()


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


LINKS = """
HYPERCORN_SERVICE_HOST HYPERCORN_SERVICE_PORT HYPERCORN_SERVICE_PORT_HTTP HYPERCORN_PORT HYPERCORN_PORT_80_TCP
HYPERCORN_PORT_80_TCP_PROTO HYPERCORN_PORT_80_TCP_PORT HYPERCORN_PORT_80_TCP_ADDR HYPERCORN_PORT_443_UDP
"""


def test_what_kubernetes_makes_of_the_name_of_a_service_is_ignored() -> None:
    config = Config()
    config.update_from_environ(dict.fromkeys(LINKS.split(), "tcp://10.0.0.1:80"))
    config.validate()
    assert repr(config) == "Config()"


def test_variables_of_hosting_platforms() -> None:
    config = Config()
    config.update_from_environ({"PORT": "5000", "WEB_CONCURRENCY": "3"})
    assert (config.bind, config.workers) == (["0.0.0.0:5000"], 3)
    assert (config.origin("bind"), config.origin("workers")) == ("env PORT", "env WEB_CONCURRENCY")
    config.update_from_environ({"PORT": "", "WEB_CONCURRENCY": ""})
    assert config.workers == 3


def test_what_else_sets_an_option_is_stronger_than_a_platform(tmp_path: Path) -> None:
    platform = {"PORT": "5000", "WEB_CONCURRENCY": "3"}
    ours = {"HYPERCORN_BIND": "localhost:1", "HYPERCORN_WORKERS": "2"}
    config = Config()
    config.update_from_environ({**platform, **ours})
    assert (config.bind, config.workers) == (["localhost:1"], 2)
    path = write(tmp_path / "c.toml", 'bind = "127.0.0.1:8000"\nworkers = 1\n')  # as the defaults are
    config = Config.from_toml(path)
    config.update_from_environ(platform)
    assert (config.bind, config.workers) == (["127.0.0.1:8000"], 1)


@pytest.mark.parametrize(("variable", "text"), [("PORT", "http"), ("PORT", "65536"), ("WEB_CONCURRENCY", "many")])
def test_a_wrong_variable_of_a_platform(variable: str, text: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{text}' \(env {variable}\): expected a (whole )?number"):
        Config().update_from_environ({variable: text})


def test_a_likely_typo_in_the_environment_warns() -> None:
    with pytest.warns(Warning, match="HYPERCORN_WORKRES.*did you mean HYPERCORN_WORKERS"):
        Config().update_from_environ({"HYPERCORN_WORKRES": "2"})


def test_a_config_reads_no_environment_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERCORN_WORKERS", "9")
    assert Config().workers == 1


def test_nearest() -> None:
    assert nearest("bnd") == "bind"
    assert nearest("qqqqqq") is None
