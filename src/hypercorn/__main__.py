"""The command `hypercorn`, and `python -m hypercorn`."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings

from hypercorn.cli.parser import CommandParser, apply_flags, brief_warnings, expand, make_parser, no_application
from hypercorn.cli.terminal import show_requests
from hypercorn.config import Config
from hypercorn.config.sources import UNKNOWN, find_config, read_env_file
from hypercorn.errors import ConfigError, ConfigWarning
from hypercorn.run import check, run, serve_if_frozen_worker
from hypercorn.supervisor.descriptors import fill_standard_descriptors
from hypercorn.supervisor.exit_codes import EXIT_INTERRUPTED, EXIT_USAGE


def _load_config(source: str | None) -> Config:
    """Loads what `--config` names: a TOML file, `file:` a Python file, or `python:` a module or object."""
    if source is None or source == "none":
        return Config()
    if source.startswith("python:"):
        if os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # as `python -m` has it, and the application's import
        return Config.from_object(source[len("python:") :])
    if source.startswith("file:"):
        return Config.from_pyfile(source[len("file:") :])
    return Config.from_toml(source)


def load_env_file(path: str | None) -> None:
    """Sets the variables of that file that are not set yet. Raises ConfigError."""
    if path is None:
        return
    try:
        values = read_env_file(path)
    except OSError as error:
        raise ConfigError(f"env_file {path!r} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"env_file {path!r} cannot be read: {error}") from None
    for name, value in values.items():
        os.environ.setdefault(name, value)


def complete(config: Config, arguments: argparse.Namespace) -> Config:
    """What comes on top of a configuration file: variables, flags, and what a terminal asks for. Raises ConfigError."""
    load_env_file(getattr(arguments, "env_file", None) or config.env_file)
    config.update_from_environ()
    apply_flags(config, arguments)
    config.validate()
    show_requests(config)
    return config


def _subcommand(name: str, arguments: list[str]) -> int:
    """`hypercorn check`, `ctl`, `top` and `trace`: for servers that run already."""
    if name == "check":
        return _check_url(arguments)
    if name == "trace":
        from hypercorn.cli.trace.show import show

        return show(arguments)
    if name == "ctl":
        from hypercorn.supervisor.client import ctl

        return ctl(arguments)
    from hypercorn.supervisor.top import top

    return top(arguments)


def _check_url(arguments: list[str]) -> int:
    """`hypercorn check`: what a client sees."""
    try:
        from hypercorn.cli.check.command import check_url
    except ModuleNotFoundError as error:
        if error.name not in ("h11", "h2", "wsproto"):
            raise
        print("hypercorn check: error: its clients are not installed: pip install hypercorn[testing]", file=sys.stderr)
        return EXIT_USAGE
    return check_url(arguments)


def _completion(parser: CommandParser, shell: str) -> str:
    """The script for `--completion`."""
    from hypercorn.cli.completion import script  # not needed to serve

    return script(parser.actions, shell)


def _description(config: Config, version: bool) -> str:
    """What `--version` prints, or else `--print-config`."""
    from hypercorn.cli.printing import config_text, version_text  # not needed to serve

    return version_text(config) if version else config_text(config)


def main(sys_args: list[str] | None = None) -> int:
    """Runs the command with these arguments (by default the process's own) and returns its exit code.

    With the process's own arguments the process is the command's: threads of the application do not keep it. A program
    that gives `sys_args` goes on afterwards.

    0 after a clean end, 1 after a crash, 3 if the server could not start, 130 if Ctrl-C came before it handled
    signals. Wrong arguments and a wrong configuration raise SystemExit with code 2.
    """
    fill_standard_descriptors()
    serve_if_frozen_worker()
    given = sys.argv[1:] if sys_args is None else sys_args
    if given and (given[0] in ("check", "trace") or (given[0] in ("ctl", "top") and sys.platform != "win32")):
        return _subcommand(given[0], given[1:])
    parser = make_parser()
    with brief_warnings() as said:
        arguments = parser.parse_args(expand(given))
        if arguments.completion:
            print(_completion(parser, arguments.completion))
            return 0
        source = arguments.config or os.environ.get("HYPERCORN_CONFIG") or None

        def load() -> Config:
            return complete(_load_config(source), arguments)

        try:
            source = source or find_config()
            config = load()
            unknown = [message for message in said if message.startswith(UNKNOWN)]
            if unknown and (config.strict or arguments.check_config):
                raise ConfigError(unknown[0])
        except ConfigError as error:
            parser.error(str(error))
        except OSError as error:
            parser.error(f"the configuration {source} cannot be read: {error.strerror or error}")
        except Exception as error:
            if type(error).__name__ == "TOMLDecodeError":  # of tomllib or tomli
                parser.error(f"the configuration {source} cannot be read: {error}")
            # A configuration in Python failed: its author needs the traceback.
            parser.exit(EXIT_USAGE, f"{traceback.format_exc()}hypercorn: error: the configuration {source} failed\n")
        if arguments.version or arguments.print_config:
            print(_description(config, arguments.version))
            return 0
        if arguments.check_config:
            return check(config)
        if not hasattr(config, "application_path"):
            parser.error(no_application(arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)  # said above
        try:
            plain = source is None or not source.startswith(("python:", "file:"))
            return run(config, load=load, plain=plain, owns_process=sys_args is None)
        except ConfigError as error:
            parser.error(str(error))
        except KeyboardInterrupt:  # before the server handles the signal
            return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
