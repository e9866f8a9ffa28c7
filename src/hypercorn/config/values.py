"""From what people write to values: the kinds of values that options have.

A kind says what it expects in words (for the error message) and reads a value: text from a flag or the
environment, or what a configuration file or a program gave. `read` raises ValueError or TypeError for a wrong
value.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from os.path import isdir
from typing import TYPE_CHECKING, Any

from hypercorn.net.address import parse_bind
from hypercorn.net.proxies import parse_trusted

if TYPE_CHECKING:
    from ssl import VerifyFlags, VerifyMode

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|d)?", re.IGNORECASE)
_DURATION_UNITS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3}
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
# Headers that frame a message or belong to one connection, and those that other options are for.
_OTHERWISE = (
    *(b"connection", b"content-length", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding"),
    *(b"alt-svc", b"date", b"upgrade"),
)
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_HTTPS = re.compile(r"https://[^\s/?#]+(/[^\s#]*)?")  # RFC 8555 section 6.1
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{8,}={0,2}")
_NOTHING = ("none", "off", "")


@dataclass(frozen=True)
class Kind:
    """One kind of value: `expected` completes "expected ...", `many` marks lists, `switch` booleans.

    `type` is the type that `read` returns, `takes` the one that it reads, as an annotation has it.
    """

    expected: str
    read: Callable[[Any], Any]
    metavar: str = "VALUE"
    many: bool = False
    switch: bool = False
    type: str = "str"
    takes: str = "str"


def optional(kind: Kind) -> Kind:
    """The same kind, where None (in text: none, off) is a value too."""

    def read(value: object) -> object:
        if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
            return None
        return kind.read(value)

    return replace(
        kind,
        expected=f"{kind.expected}, or none",
        read=read,
        type=f"{kind.type} | None",
        takes=f"{kind.takes} | None",
    )


def _read_int(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def number(minimum: int = 0, maximum: int | None = None) -> Kind:
    """A whole number from `minimum` to `maximum`."""

    def read(value: object) -> int:
        result = _read_int(value)
        if result < minimum or (maximum is not None and result > maximum):
            raise ValueError
        return result

    limit = f"of {minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
    return Kind(f"a whole number {limit}", read, "N", type="int", takes="int | str")


def seconds(positive: bool = False) -> Kind:
    """A time: a number of seconds, or text with a unit. `positive` excludes 0."""

    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise TypeError
        if isinstance(value, str):
            match = _DURATION.fullmatch(value.strip())
            if match is None:
                raise ValueError
            value = float(match[1]) * _DURATION_UNITS[(match[2] or "s").lower()]
        result = float(value)
        if not math.isfinite(result) or result < 0 or (positive and result == 0):
            raise ValueError
        return result

    more = "more than 0" if positive else "0 or more"
    expected = f"a time in seconds, {more}, such as 5, 2.5, 500ms, 30s or 2m"
    return Kind(expected, read, "SECONDS", type="float", takes="float | str")


def size(minimum: int = 1) -> Kind:
    """A number of bytes, or text with a unit (KB is 1000, KiB and K are 1024)."""

    def read(value: object) -> int:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is None:
                raise ValueError
            binary = bool(match[3]) or value.strip()[-1] not in "bB"
            value = float(match[1]) * (1024 if binary else 1000) ** _POWERS[match[2].lower()]
        result = _read_int(value)
        if result < minimum:
            raise ValueError
        return result

    expected = f"a size in bytes of {minimum} or more, such as 65536, 64KiB or 16MiB"
    return Kind(expected, read, "BYTES", type="int", takes="int | str")


def choice(*names: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    words = "Literal[" + ", ".join(f'"{name}"' for name in names) + "]"
    return Kind("one of " + ", ".join(names), read, "|".join(names), type=words, takes=words)


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _read_function(value: object) -> str:
    text = _read_text(value)
    module, colon, function = text.partition(":")
    if not colon or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError
    return text


def _read_path(value: Any) -> str:
    if isinstance(value, bytes):
        raise TypeError
    return value if isinstance(value, str) else str(value.__fspath__())


def _read_switch(value: object) -> bool:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().lower(), value)
    if value not in (True, False):
        raise ValueError
    return bool(value)


def _read_texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise TypeError
    return [_read_text(item) for item in value]


def _read_binds(value: object) -> list[str]:
    texts = _read_texts(value)
    for text in texts:
        parse_bind(text)
    return texts


def _read_root_path(value: object) -> str:
    """A slash at its end is dropped."""
    return _read_text(value).rstrip("/")


def _read_folders(value: Any) -> list[str]:
    one = isinstance(value, (str, PathLike))
    folders = [_read_path(item) for item in ([value] if one else value)]
    for folder in folders:
        if not isdir(folder):
            raise ValueError(f"{folder!r} is no folder")
    return folders


def _read_headers(value: object) -> list[str]:
    texts = _read_texts(value)
    for text in texts:
        name = split_header(text)[0]
        if name in _OTHERWISE:
            raise ValueError
    return texts


def split_header(text: str) -> tuple[bytes, bytes]:
    """The name, in lower case, and the value of "Name: value". Raises ValueError for what no header can be."""
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no header")
    return match[1].lower().encode("ascii"), match[2].encode("latin-1")


def _read_user(value: object) -> object:
    if not isinstance(value, str) or value.strip().isdigit():
        return number(0).read(value)
    import pwd  # there is none on Windows

    return pwd.getpwnam(value.strip()).pw_uid


def _read_group(value: object) -> object:
    if not isinstance(value, str) or value.strip().isdigit():
        return number(0).read(value)
    import grp

    return grp.getgrnam(value.strip()).gr_gid


def _read_control(value: object) -> str:
    text = _read_text(value)
    if text.startswith("unix:"):
        parse_bind(text)
    return text


def _read_proxies(value: object) -> list[str]:
    texts = _read_texts(value)
    for text in texts:
        parse_trusted(text)
    return texts


def _read_certificates(value: object) -> list[str]:
    texts = _read_texts(value)
    if texts:
        import shlex  # which few need

        if any(len(shlex.split(text)) not in (2, 3) for text in texts):
            raise ValueError
    return texts


def _read_hosts(value: object) -> list[str]:
    texts = [text.lower().rstrip(".") for text in _read_texts(value)]
    for text in texts:
        if _HOST.fullmatch(text) is None or len(text) > 253 or text.replace(".", "").isdecimal():
            raise ValueError
    return list(dict.fromkeys(texts))


def _read_directory(value: object) -> str:
    text = _read_text(value)
    if text not in ("production", "staging") and _HTTPS.fullmatch(text) is None:
        raise ValueError
    return text


def _read_eab_key(value: object) -> str:
    text = _read_text(value)
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError
    return text


def _read_path_part(value: object) -> str:
    text = _read_text(value)
    if not text.startswith("/"):
        raise ValueError
    return text


def _read_path_parts(value: object) -> list[str]:
    return [_read_path_part(text) for text in _read_texts(value)]


def _read_target(value: object) -> object:
    """True is "-", the standard stream."""
    if isinstance(value, str) and value.strip().lower() in ("none", "off"):
        return None
    if isinstance(value, (logging.Logger, str)) or value is None:
        return value
    if isinstance(value, bool):
        return "-" if value else None
    return _read_path(value)


def _read_log_config(value: object) -> object:
    """Unlike elsewhere, "none" is a value of its own here: no logging is set up at all."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return "none"
    return PATH.read(value)


def _read_level(value: object) -> str:
    name = logging.getLevelName(_read_int(value)) if isinstance(value, int) else _read_text(value).upper()
    if not isinstance(logging.getLevelName(name), int):
        raise ValueError
    return str(name)


def _read_umask(value: object) -> int:
    """Text with a leading 0 is octal, as in a shell; other text is decimal, as it always was."""
    if isinstance(value, str):
        text = value.strip().lower()
        octal = text.startswith("0o") or (len(text) > 1 and text.startswith("0"))
        value = int(text, 8 if octal else 10)
    result = _read_int(value)
    if not 0 <= result <= 0o777:
        raise ValueError
    return result


def _read_verify_mode(value: object) -> VerifyMode:
    from ssl import VerifyMode

    return VerifyMode[value] if isinstance(value, str) and not value.isdigit() else VerifyMode(_read_int(value))


def _read_verify_flags(value: object) -> VerifyFlags:
    from ssl import VerifyFlags

    if isinstance(value, str) and not value.isdigit():
        flags = VerifyFlags(0)
        for name in value.replace("|", ",").split(","):
            flags |= VerifyFlags[name.strip()]
        return flags
    return VerifyFlags(_read_int(value))


def _read_class(value: object) -> object:
    if not callable(value):
        raise TypeError
    return value


def _read_mapping(value: object) -> object:
    if not isinstance(value, Mapping):
        raise TypeError
    return value


COMPRESSION_DEFAULTS = {
    "level": 6,
    "window_bits": 12,
    "no_context_takeover": False,
    "threshold": 256,
}


def _read_compression(value: object) -> dict[str, int] | None:
    """None for off, else every setting."""
    if isinstance(value, str) and "=" in value:
        pairs = (part.partition("=") for part in value.split(","))
        value = {name.strip(): text.strip() for name, _, text in pairs}
    if isinstance(value, Mapping):
        unknown = set(value) - set(COMPRESSION_DEFAULTS)
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(map(str, unknown)))}")
        given = {**COMPRESSION_DEFAULTS, **value}
        return {
            "level": number(1, 9).read(given["level"]),
            "window_bits": number(9, 15).read(given["window_bits"]),
            "no_context_takeover": _read_switch(given["no_context_takeover"]),
            "threshold": size(0).read(given["threshold"]),
        }
    if value is None or (isinstance(value, str) and value.strip().lower() in _NOTHING):
        return None
    return dict(COMPRESSION_DEFAULTS) if _read_switch(value) else None


_FILE = "str | PathLike[str]"


def _list(expected: str, read: Callable[[object], list[str]], metavar: str, takes: str = "str | Iterable[str]") -> Kind:
    return Kind(expected, read, metavar, many=True, type="list[str]", takes=takes)


TEXT = Kind("a text", _read_text, "TEXT")
ROOT_PATH = Kind("a text", _read_root_path, "TEXT")
PATH = optional(Kind("a path", _read_path, "PATH", takes=_FILE))
FUNCTION = Kind("module:function", _read_function, "NAME")
SWITCH = Kind("true or false", _read_switch, switch=True, type="bool", takes="bool | str")
TEXTS = _list("a text or a list of texts", _read_texts, "TEXT")
HEADERS = _list('"Name: value", or a list of these', _read_headers, "HEADER")
BINDS = _list(
    "host:port, host, [ipv6]:port, unix:path, unix:@name (abstract, Linux) or fd://number (or a list of these)",
    _read_binds,
    "ADDRESS",
)
CONTROL = Kind("auto, none, a path, unix:path or unix:@name (abstract, Linux)", _read_control, "PATH")
PROXIES = _list('an address, a network, "unix" or "*" (or a list of these)', _read_proxies, "ADDRESS")
CERTIFICATES = _list('"HOST CERTFILE KEYFILE", or a list of these', _read_certificates, "TEXT")
HOSTS = _list(
    "a host name such as example.org, in ASCII, no address and no wildcard (or a list of these)", _read_hosts, "HOST"
)
DIRECTORY = Kind("production, staging (Let's Encrypt's), or a URL that begins with https://", _read_directory, "URL")
EAB_KEY = optional(Kind("a key in base64url, as the authority gave it", _read_eab_key, "TEXT"))
FOLDERS = _list("a folder that exists, or a list of such", _read_folders, "PATH", f"{_FILE} | Iterable[{_FILE}]")
URL_PATH = optional(Kind("a path that begins with /", _read_path_part, "PATH"))
URL_PATHS = _list("a path that begins with /, or a list of such", _read_path_parts, "PATH")
TARGET = Kind(
    'a path, "-", a logging.Logger, or none',
    _read_target,
    "PATH",
    type="Logger | str | None",
    takes=f"Logger | {_FILE} | bool | None",
)
LOG_CONFIG = Kind(
    'a path (.json, .yaml, .toml, or else ini), json:PATH, toml:PATH, yaml:PATH, or "none"',
    _read_log_config,
    "PATH",
    type="str | None",
    takes=f"{_FILE} | None",
)
LEVEL = Kind("the name of a logging level, such as DEBUG, INFO or ERROR", _read_level, "LEVEL", takes="str | int")
USER = optional(Kind("the name or the number of a user", _read_user, "USER", type="int", takes="int | str"))
GROUP = optional(Kind("the name or the number of a group", _read_group, "GROUP", type="int", takes="int | str"))
UMASK = optional(
    Kind("a mask such as 0o077 or 077 (octal), or a decimal number", _read_umask, "MASK", type="int", takes="int | str")
)
VERIFY_MODE = optional(
    Kind(
        "one of CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED",
        _read_verify_mode,
        "CERT_NONE|CERT_OPTIONAL|CERT_REQUIRED",
        type="VerifyMode",
        takes="VerifyMode | int | str",
    )
)
VERIFY_FLAGS = optional(
    Kind(
        "names of ssl.VerifyFlags, or their number",
        _read_verify_flags,
        "FLAGS",
        type="VerifyFlags",
        takes="VerifyFlags | int | str",
    )
)
CLASS = Kind("a class", _read_class, type="type[ServerLogger]", takes="type[ServerLogger]")
COMPRESSION = Kind(
    "on, off, or a mapping of " + ", ".join(COMPRESSION_DEFAULTS),
    _read_compression,
    "SETTINGS",
    type="dict[str, int] | None",
    takes="Mapping[str, object] | bool | str | None",
)
MAPPING = optional(
    Kind(
        "a mapping (logging.config.dictConfig)",
        _read_mapping,
        type="Mapping[str, object]",
        takes="Mapping[str, object]",
    )
)
