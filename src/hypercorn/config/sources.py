"""The sources of options besides code: TOML files, Python files, objects, the environment."""

from __future__ import annotations

import importlib
import os
import re
import types
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import TypeVar

from hypercorn._toml import PROJECT
from hypercorn.config.options import ALIASES, BY_NAME, ENV_OTHERS, ENV_PREFIX, nearest
from hypercorn.config.values import CLASS
from hypercorn.errors import ConfigError, ConfigWarning

_Value = TypeVar("_Value")
# How alike a name must be to count as a misspelt option where other names are to be expected.
LIKELY_RATIO = 0.8
UNKNOWN = "unknown option"
TABLE = re.compile(rb"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*hypercorn[ \t]*[.\]]", re.MULTILINE)
# Variables that Kubernetes sets in every container where a service is called hypercorn.
_SERVICE_LINK = re.compile(r"service_(host|port\w*)|port(_\d+_(tcp|udp|sctp)\w*)?")
# Variables of hosting platforms, and the options that they set where nothing else does.
PLATFORM = {"PORT": "bind", "WEB_CONCURRENCY": "workers"}
_KEY = re.compile(rb"^-----BEGIN (?:\w+ )*PRIVATE KEY-----", re.MULTILINE)
_VARIABLE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:\#.*)?""")


def read_pyfile(path: str) -> dict[str, object]:
    """Runs a Python file and returns the names that it defines.

    Raises OSError, SyntaxError and what it raises.
    """
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    module = types.ModuleType("module.name")
    module.__file__ = os.path.abspath(path)
    # Python 3.15 warns of a module without a loader when it writes a traceback.
    module.__spec__ = ModuleSpec(module.__name__, SourceFileLoader(module.__name__, module.__file__))
    exec(code, module.__dict__)
    return read_object(module)


def read_object(instance: object) -> dict[str, object]:
    """The names of an object or a module that count as options: no private names, modules or functions."""
    values: dict[str, object] = {}
    for name in dir(instance):
        if name.startswith("_"):
            continue
        try:
            value = getattr(instance, name)
        except AttributeError:  # write-only, or never set
            continue
        option = BY_NAME.get(ALIASES.get(name, name))
        meant = elsewhere(name) is not None if option is None else option.kind is CLASS
        if meant or not (isinstance(value, (types.ModuleType, property)) or callable(value)):
            values[name] = value
    return values


def without_doubles(values: Mapping[str, _Value], source: str) -> Iterator[tuple[str, _Value]]:
    """Names and values; where an option and an alias of it are both there, only the option, with a warning."""
    for name, value in values.items():
        option = ALIASES.get(name)
        if option is None or option not in values:
            yield name, value
        elif values[option] != value:
            warn(f"{name} and {option} are both set ({source}): {option} counts")


def import_object(path: str) -> object:
    """The module `path`, or else the attribute after its last dot. Raises ConfigError if there is neither."""
    parent, _, attribute = path.rpartition(".")
    try:
        module = _import_or_none(path)
        if module is not None:
            return module
        return getattr(_import_or_none(parent), attribute)
    except (ValueError, AttributeError):
        problem = "no such module or attribute"
        raise ConfigError(f"the configuration object {path!r} cannot be imported: {problem}") from None


def _import_or_none(path: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        # Only the absence of this very module: an import that fails inside it is the user's to see.
        if not f"{path}.".startswith(f"{error.name}."):
            raise
        return None


def read_environ(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Name, value and source of each `HYPERCORN_<OPTION>` variable; lists are separated by commas.

    A variable that resembles an option warns. Others are not ours, and never those that Kubernetes makes of a service's
    name, such as HYPERCORN_PORT=tcp://10.0.0.1:80.
    """
    ours = {name[len(ENV_PREFIX) :].lower(): text for name, text in environ.items() if name.startswith(ENV_PREFIX)}
    for name, text in without_doubles(ours, "env"):
        variable = ENV_PREFIX + name.upper()
        if name.upper() in ENV_OTHERS or _SERVICE_LINK.fullmatch(name):
            continue
        option = BY_NAME.get(ALIASES.get(name, name))
        if option is None:
            near = nearest(name, cutoff=LIKELY_RATIO)
            if near is not None:
                warn(f"unknown option {variable} (env); did you mean {ENV_PREFIX}{near.upper()}?")
        elif option.kind.many:
            yield option.name, [item.strip() for item in text.split(",") if item.strip()], f"env {variable}"
        else:
            yield option.name, text, f"env {variable}"


def read_platform(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Name, value and source of the options that PORT and WEB_CONCURRENCY set: a server of a hosting platform listens
    on that port of every address. Raises ConfigError for a port that is none."""
    for variable, name in PLATFORM.items():
        text = environ.get(variable, "").strip()
        if not text:
            continue
        if name == "bind":
            if not text.isdecimal() or int(text) > 65535:
                raise ConfigError(f"PORT = {text!r} (env PORT): expected a number from 0 to 65535")
            text = f"0.0.0.0:{text}"
        yield name, text, f"env {variable}"


def elsewhere(name: str) -> str | None:
    """Advice about a setting of another server; None for a name that is none."""
    from hypercorn.config.migration import setting_advice  # a large table, which few servers need at their start

    return setting_advice(name)


def is_meant(name: str) -> bool:
    """True where a name in a Python file is hardly a variable of its own: it resembles an option, or it is one of
    another server."""
    return elsewhere(name) is not None or nearest(name, cutoff=LIKELY_RATIO) is not None


def unknown_text(name: str, source: str = "") -> str:
    """Says that an option does not exist, and which one may be meant."""
    advice, near = elsewhere(name), nearest(name)
    if advice is None and near is not None:
        advice = f"did you mean {near}?"
    where = f" ({source})" if source else ""
    return f"{UNKNOWN} {name}{where}" + (f"; {advice}" if advice else "")


def warn_unknown(name: str, source: str, stacklevel: int = 5) -> str:
    """Warns about an option that does not exist, and names the nearest that does. Returns what it said."""
    message = unknown_text(name, source)
    warn(message, stacklevel)
    return message


def has_private_key(pem: bytes) -> bool:
    """True where a file in PEM holds a private key beside its certificates."""
    return _KEY.search(pem) is not None


def find_config(folder: str = "") -> str | None:
    """The configuration that a folder has: its hypercorn.toml, or its pyproject.toml with a table [tool.hypercorn].

    Raises OSError.
    """
    own = os.path.join(folder, "hypercorn.toml")
    if os.path.isfile(own):
        return own
    project = os.path.join(folder, PROJECT)
    if os.path.isfile(project):
        with open(project, "rb") as file:
            if TABLE.search(file.read()):  # other people's files are not to be parsed, let alone complained of
                return project
    return None


def read_env_file(path: str) -> dict[str, str]:
    """Variables of a file: `NAME=value` lines, with `export` before them or not, quotes, and # comments.

    Raises OSError, ValueError for a line that is none of these.
    """
    values = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            match = _VARIABLE.fullmatch(text)
            if match is None:
                raise ValueError(f"line {number} is not NAME=value")
            name, value = match.groups()
            if value[:1] in ("'", '"'):
                quoted = _QUOTED.fullmatch(value)
                if quoted is None:
                    raise ValueError(f"line {number} has a quote without an end")
                value = quoted[1]
                if value is None:
                    value = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), quoted[2])
            else:
                value = re.split(r"\s#", value)[0].strip()
            values[name] = value
    return values


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Warnings about the configuration as texts, for who logs them: each once, and shown nowhere else."""
    said: list[str] = []

    def keep(message: Warning | str, *args: object, **kwargs: object) -> None:
        if str(message) not in said:
            said.append(str(message))

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=ConfigWarning)
        warnings.showwarning = keep
        yield said


def warn(message: str, stacklevel: int = 5) -> None:
    """A `ConfigWarning`, shown as coming from the caller of the configuration."""
    warnings.warn(message, ConfigWarning, stacklevel=stacklevel)
