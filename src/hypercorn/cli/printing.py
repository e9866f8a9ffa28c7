"""The texts that `--version` and `--print-config` print."""

from __future__ import annotations

import json
import platform
import sys

from hypercorn import __version__, build
from hypercorn._cpython import PLAIN
from hypercorn.config import Config
from hypercorn.config.options import OPTIONS, UNSET

_LOOPS = {
    "asyncio": "asyncio.ProactorEventLoop" if sys.platform == "win32" else "asyncio.SelectorEventLoop",
    "uvloop": "uvloop.Loop",
    "trio": "trio",
}


def version_text(config: Config) -> str:
    """Returns one line: version, build, Python, and the event loop that `worker_class` chooses."""
    loop = _LOOPS.get(config.worker_class, config.worker_class)
    if config.worker_class in ("uvloop", "trio"):
        import importlib.metadata  # a tenth of the time that the command takes to start

        try:
            loop += " " + importlib.metadata.version(config.worker_class)
        except importlib.metadata.PackageNotFoundError:
            loop += " (not installed)"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    plain = ", public parts of Python only" if PLAIN else ""
    return f"hypercorn {__version__} ({build()} build{plain}), {python} on {platform.system()}, {loop}"


def config_text(config: Config) -> str:
    """Every option as a line of TOML, to be loaded again. Secrets, and what TOML cannot say, are comments."""
    lines = []
    for option in OPTIONS:
        value = UNSET if option.alias_of else getattr(config, option.name, UNSET)
        if value is UNSET:
            continue
        text = value
        if value is None:
            text = "none" if option.default is not None else None
        elif option.secret or not isinstance(value, (str, int, float, list)):
            text = None
        if text is None:
            shown = "not set" if value is None else "***" if option.secret else repr(value)
            lines.append(f"# {option.name}: {shown}  ({config.origin(option.name)})")
        else:
            lines.append(f"{option.name} = {_toml(text)}  # {config.origin(option.name)}")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))  # an enumeration of ssl is a number
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
