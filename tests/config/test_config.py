"""`Config`: its attributes, defaults, subclasses and pickles."""

from __future__ import annotations

import logging
import pickle
import ssl
import warnings
from typing import Any

import pytest

import hypercorn.config
from hypercorn.config import BYTES, OCTETS, SECONDS, Config
from hypercorn.config.options import ALIASES, BY_NAME, OPTIONS, UNSET
from hypercorn.logging import Logger

# Earlier releases' attributes and defaults, which programs rely upon.
DEFAULTS: dict[str, Any] = {
    "access_log_format": '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "accesslog": None,
    "alpn_protocols": ["h2", "http/1.1"],
    "alt_svc_headers": [],
    "backlog": 100,
    "bind": ["127.0.0.1:8000"],
    "ca_certs": None,
    "certificates": [],
    "certificate_reload": True,
    "dev_tls": False,
    "acme": [],
    "acme_email": None,
    "acme_directory": "production",
    "acme_state": None,
    "acme_eab_kid": None,
    "acme_eab_hmac_key": None,
    "tls_min_version": "1.2",
    "tls13_ciphers": None,
    "crl_file": None,
    "log_format": "text",
    "factory": False,
    "app_dir": None,
    "env_file": None,
    "strict": False,
    "add_root_path": False,
    "trusted_proxies": [],
    "proxy_headers": "x-forwarded",
    "proxy_protocol": False,
    "forwarded_host": False,
    "forwarded_port": False,
    "forwarded_prefix": False,
    "h2c_upgrade": False,
    "health_path": None,
    "ready_path": None,
    "metrics_bind": [],
    "limit_connections": None,
    "limit_concurrency": None,
    "shed_delay": None,
    "slow_callback": None,
    "slow_request": None,
    "quic_qlog_dir": None,
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
    "headers": [],
    "include_date_header": True,
    "include_server_header": True,
    "insecure_bind": [],
    "keep_alive_header": False,
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
    "process_name": None,
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
    "websocket_ping_timeout": 20.0,
    "websocket_close_timeout": 10.0,
    "websocket_handshake_timeout": 60.0,
    "websocket_idle_timeout": None,
    "websocket_lifetime": None,
    "websocket_max_frame_size": None,
    "websocket_max_queue": 16,
    "websocket_origins": [],
    "websocket_compression": {"level": 6, "window_bits": 12, "no_context_takeover": False, "threshold": 256},
    "websocket_broadcast": False,
    "websockets": True,
    "websocket_extended_connect": True,
    "worker_class": "asyncio",
    "workers": 1,
    "wsgi_max_body_size": None,  # 16777216 in 0.18
    # new in 1.0
    "wsgi_buffer_size": 65536,
    "wsgi_spool_size": 1 << 30,
    "wsgi_threads": "auto",
    "wsgi_queue_size": 1000,
    "wsgi_queue_timeout": 30.0,
    "on_worker_exit": None,
    "max_request_line_size": 8192,
    "max_header_size": 16384,
    "max_header_count": 100,
    "max_body_size": None,
    "header_timeout": 10.0,
    "body_timeout": 30.0,
    "write_timeout": 60.0,
    "min_receive_rate": 240,
    "min_send_rate": 240,
    "min_rate_grace": 5.0,
    "max_unread_body": 16777216,
    "linger_timeout": 2.0,
    "idle_grace": 1.0,
    "reuse_port": False,
    "max_worker_age": None,
    "max_worker_memory": None,
    "worker_timeout": None,
    "preload": False,
    "start_method": "auto",
    "shutdown_delay": 0.0,
    "shutdown_notify_delay": None,
    "control": "auto",
    "reload_dirs": [],
    "reload_include": ["*.py"],
    "reload_exclude": [],
    "write_buffer_size": 65536,
    "h2_stream_window": 65535,
    "h2_max_stream_window": 1048576,
    "h2_connection_window": 4194304,
    "h2_max_resets": 1000,
    "http3": False,
    "quic_max_connections": 10000,
    "quic_retry_threshold": 100,
    "quic_max_datagram_size": 8952,
    "quic_idle_timeout": 60.0,
    "pathsend": False,
    "server_timing": "off",
    "otel": False,
    "preemption_hook": None,
    "alt_svc_max_age": 3600.0,
    "h2_ping_interval": 30.0,
    "h2_ping_timeout": 20.0,
    "lifespan": "auto",
    "validate_app": False,
    "client_connections": None,
    "client_connection_rate": None,
    "client_connection_burst": None,
    "client_request_rate": None,
    "client_request_burst": None,
    "client_prefix_ipv4": 32,
    "client_prefix_ipv6": 64,
    "client_table_size": 10000,
    "client_exempt_paths": [],
    "runtime": "auto",
    "access_log_client_port": True,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_defaults(name: str, value: object) -> None:
    config = Config()
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(value)


def test_table_and_class_agree() -> None:
    without = {"application_path", "cert_reqs"}
    assert {ALIASES.get(name, name) for name in DEFAULTS} == set(BY_NAME) - without
    assert {name for name in set(BY_NAME) | set(ALIASES) if not hasattr(Config, name)} == without - {"cert_reqs"}


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
        bind = "127.0.0.1:0"
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
    monkeypatch.setattr(Config, "bind", ["localhost:1"])
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
