"""From text and other values to option values."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from hypercorn.config import Config
from hypercorn.config.options import BY_NAME
from hypercorn.errors import ConfigError

GOOD: list[tuple[str, Any, Any]] = [
    ("workers", "4", 4),
    ("workers", 4.0, 4),
    ("max_requests", None, None),
    ("keep_alive_timeout", "0", 0.0),
    ("keep_alive_timeout", "1.5", 1.5),
    ("keep_alive_timeout", "30s", 30.0),
    ("keep_alive_timeout", " 2m ", 120.0),
    ("keep_alive_timeout", "250ms", 0.25),
    ("keep_alive_timeout", "1h", 3600.0),
    ("header_timeout", "none", None),
    ("header_timeout", "OFF", None),
    ("read_timeout", "", None),
    ("max_body_size", "none", None),
    ("max_body_size", "0", 0),
    ("max_body_size", "16MiB", 16 * 1024**2),
    ("max_body_size", "16m", 16 * 1024**2),
    ("max_body_size", "16MB", 16_000_000),
    ("max_body_size", "1.5 KiB", 1536),
    ("max_body_size", "12b", 12),
    ("max_body_size", "2GiB", 2 * 1024**3),
    ("debug", "true", True),
    ("debug", "Off", False),
    ("debug", 1, True),
    ("umask", "022", 0o22),
    ("umask", "0o77", 0o77),
    ("umask", "18", 18),
    ("umask", 18, 18),
    ("umask", "0", 0),
    ("log_level", "warning", "WARNING"),
    ("log_level", logging.DEBUG, "DEBUG"),
    ("verify_mode", "CERT_REQUIRED", ssl.VerifyMode.CERT_REQUIRED),
    ("verify_mode", 1, ssl.VerifyMode.CERT_OPTIONAL),
    ("verify_flags", "VERIFY_X509_STRICT", ssl.VerifyFlags.VERIFY_X509_STRICT),
    (
        "verify_flags",
        "VERIFY_X509_STRICT,VERIFY_CRL_CHECK_LEAF",
        ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF,
    ),
    ("server_names", "a", ["a"]),
    ("server_names", ("a", "b"), ["a", "b"]),
    ("user", "7", 7),
    ("user", 7, 7),
    ("user", "none", None),
    ("group", "0", 0),
    ("reload_dirs", ".", ["."]),
    ("reload_dirs", Path(), ["."]),
    ("reload_dirs", [Path(), "."], [".", "."]),
    ("headers", "X-A:  b, c ", ["X-A:  b, c "]),
    ("headers", ["X-A: b", "X-A:"], ["X-A: b", "X-A:"]),
    ("access_log", False, None),
    ("access_log", True, "-"),
    ("access_log", "none", None),
    ("access_log", "off", None),
    ("access_log", Path("a.log"), "a.log"),
    ("pid_path", Path("a.pid"), "a.pid"),
    ("lifespan", "on", "on"),
    ("log_config_dict", {"version": 1}, {"version": 1}),
]


@pytest.mark.parametrize(("name", "value", "expected"), GOOD)
def test_good(name: str, value: object, expected: object) -> None:
    result = BY_NAME[name].convert(value, "test")
    assert result == expected
    assert type(result) is type(expected)


BAD: list[tuple[str, Any]] = [
    ("max_requests", "0"),
    ("workers", "-1"),
    ("workers", "two"),
    ("workers", True),
    ("workers", None),
    ("workers", 1.5),
    ("workers", [1]),
    ("keep_alive_timeout", "nan"),
    ("keep_alive_timeout", float("nan")),
    ("keep_alive_timeout", float("inf")),
    ("keep_alive_timeout", "-1"),
    ("keep_alive_timeout", "5 parsecs"),
    ("shutdown_delay", None),
    ("keep_alive_timeout", True),
    ("header_timeout", 0),
    ("max_body_size", "1.2"),
    ("max_body_size", "big"),
    ("max_header_size", 0),
    ("max_header_count", 0),
    ("h2_max_inbound_frame_size", 100),
    ("debug", "maybe"),
    ("debug", 2),
    ("umask", "08"),
    ("umask", "-1"),
    ("umask", "9999"),
    ("log_level", "LOUD"),
    ("log_level", 17.5),
    ("verify_mode", "CERT_UNKNOWN"),
    ("verify_mode", 9),
    ("server_names", 5),
    ("server_names", [5]),
    ("server_names", {"a": 1}),
    ("bind", "localhost:http"),
    ("bind", ["localhost:1", 5]),
    ("user", "nobody-of-that-name"),
    ("user", -1),
    ("group", "no-group-of-that-name"),
    ("reload_dirs", "no-such-folder"),
    ("reload_dirs", 5),
    ("headers", "no header"),
    ("headers", "a b: c"),
    ("headers", "a: b\r\nc: d"),
    ("headers", ": b"),
    ("headers", "Content-Length: 5"),
    ("headers", "alt-svc: clear"),
    ("access_log", 5),
    ("pid_path", 5),
    ("root_path", b"/a"),
    ("lifespan", "perhaps"),
    ("runtime", None),
    ("logger_class", "Logger"),
    ("log_config_dict", "x"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_bad(name: str, value: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"^{name} = .* \(flag --x\): expected|^{name} = .* \(flag --x\): .*; expected"
    ):
        BY_NAME[name].convert(value, "flag --x")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such names")
def test_users_and_groups_have_names() -> None:
    import grp
    import pwd

    config = Config(user=pwd.getpwuid(os.getuid()).pw_name, group=grp.getgrgid(os.getgid()).gr_name)
    assert (config.user, config.group) == (os.getuid(), os.getgid())
    with pytest.raises(
        ConfigError, match=r"user = 'nobody at all' \(Config\): expected the name or the number of a user"
    ):
        config.user = "nobody at all"
