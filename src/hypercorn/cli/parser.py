"""The command line: its flags come from the option table."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from hypercorn.cli import addresses
from hypercorn.config.options import OPTIONS, UNSET, Option, nearest
from hypercorn.errors import ConfigError, ConfigWarning
from hypercorn.supervisor.exit_codes import EXIT_USAGE

if TYPE_CHECKING:
    from hypercorn.config import Config

_LACKS_VALUE = re.compile(r"argument (\S+): expected (?:one|at least one) argument")
_EPILOG = """\
Every option can also be set as the environment variable HYPERCORN_<NAME>, such as HYPERCORN_BACKLOG, and
under its name in the configuration file. A flag wins over the environment, and that over the file. Sizes take
units (64KiB, 16MiB), and so do times (500ms, 30s, 2m); "none" switches a limit off where that is possible.
"""


# What Hypercorn 0.18 had, and argparse let users abbreviate; no later flag makes one of these ambiguous.
_ABBREVIATED = """
    --access-log --access-logfile --access-logformat --backlog --bind --ca-certs --cert-reqs --certfile --ciphers
    --config --daemon --debug --error-log --error-logfile --graceful-timeout --group --help --insecure-bind
    --keep-alive --keyfile --keyfile-password --log-config --log-file --log-level --max-requests --max-requests-jitter
    --pid --quic-bind --read-timeout --reload --root-path --server-name --statsd-host --statsd-prefix --umask --user
    --verify-mode --websocket-ping-interval --worker-class --workers
""".split()  # noqa: SIM905


SHELLS = ("bash", "zsh", "fish")  # that `--completion` knows
# Commands of other tools that come before the application, and the flags that do here what they do.
_COMMANDS = {"run": "", "serve": "", "start": "", "server": "", "dev": "--reload "}


def overview() -> str:
    """The short help."""
    from hypercorn.cli.overview import text  # not needed to serve

    return text()


def advice_on(flag: str) -> str | None:
    """What stands here in the place of another server's flag."""
    from hypercorn.config.migration import advice  # a large table, which few servers need at their start

    return advice(flag)


class _HelpAction(argparse.Action):
    """Prints one of the two helps, and ends the command."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str, whole: bool = False) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)
        self.whole = whole

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        print(parser.format_help() if self.whole else overview(), end="")
        parser.exit()


class CommandParser(argparse.ArgumentParser):
    """Says which flag was probably meant, in one line.

    actions: all that was added
    """

    def __init__(self, **options: Any) -> None:
        self.actions: list[argparse.Action] = []
        # argparse makes a formatter for each argument that is added: one that does not ask how wide the terminal is.
        super().__init__(formatter_class=partial(argparse.HelpFormatter, width=80), **options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        action = super().add_argument(*names, **options)
        self.actions.append(action)
        return action

    first = ""  # of the arguments

    def format_help(self) -> str:
        self.formatter_class = argparse.HelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        unknown = "unrecognized arguments: "
        if message.startswith(unknown):
            name = message[len(unknown) :].split()[0].partition("=")[0]
            if name.startswith("-"):
                message = self.unknown_flag(name)
            else:
                message = self.unexpected(name)
        lacks = _LACKS_VALUE.fullmatch(message)
        if lacks is not None:
            flag = lacks[1].rpartition("/")[2]
            message = f"{flag} needs a value{elsewhere(flag)}"
        self.exit(EXIT_USAGE, f"hypercorn: error: {message}\n")

    def unexpected(self, name: str) -> str:
        """What to say of a second argument; the first may be a command of another tool, such as `fastapi dev`."""
        first = self.first
        if first == "runserver":
            return 'runserver is a command of manage.py, also with "hypercorn.django" in INSTALLED_APPS'
        if first in _COMMANDS:
            return f"there is no command {first!r}; try: hypercorn {_COMMANDS[first]}{name}"
        return f"only one application can be served: unexpected argument {name!r}"

    def parse_args(self, args: Any = None, namespace: object = None) -> Any:
        given = sys.argv[1:] if args is None else args
        self.first = given[0] if given else ""
        return super().parse_args(args, namespace)

    def unknown_flag(self, name: str) -> str:
        """What to say of a flag that does not exist."""
        instead = advice_on(name)
        if instead is not None:
            return instead
        meant = nearest(name, [flag for action in self.actions for flag in action.option_strings])
        return f"unknown option {name}" + (f"; did you mean {meant}?" if meant else "; --help-all lists all options")


def elsewhere(flag: str) -> str:
    """Advice for a flag that means something else on another server, to be added to an error."""
    instead = advice_on(flag)
    return f"; {instead}" if instead is not None and f" is {flag} " not in instead else ""


class _Group:
    """A group of the parser's help."""

    def __init__(self, parser: CommandParser, title: str) -> None:
        self.parser = parser
        self.group = parser.add_argument_group(title)

    def add_argument(self, *names: str, **options: Any) -> None:
        """Adds an argument to the group, and to the actions of the parser."""
        self.parser.actions.append(self.group.add_argument(*names, **options))


def make_parser() -> CommandParser:
    """The parser of the command line. Values stay text, and flags that are not given are absent."""
    parser = CommandParser(
        prog="hypercorn",
        usage="hypercorn [options] module:app\n       hypercorn ctl ...  (or: top)  for a running server"
        "\n       hypercorn check URL  for what a client sees",
        allow_abbrev=False,
        add_help=False,
        description="Serves an ASGI or WSGI application over HTTP.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "application",
        nargs="?",
        help="where the application is: module:app, file.py:app, asgi: or wsgi: before it",
    )
    parser.add_argument("-h", "--help", action=_HelpAction, help="show the most used options")
    parser.add_argument("--help-all", action=_HelpAction, whole=True, help="show all options")
    parser.add_argument("--version", action="store_true", help="show version, build, Python and event loop")
    parser.add_argument(
        "--print-config", action="store_true", help="show the value of every option and where it comes from, as TOML"
    )
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="check whether configuration, certificates and application are in order",
    )
    parser.add_argument("--completion", choices=SHELLS, help="write a script that completes this command in a shell")
    parser.add_argument(
        "-c",
        "--config",
        help="configuration: a TOML file, file:PATH of a Python file, python:MODULE, or none; without it,"
        " ./hypercorn.toml or [tool.hypercorn] of ./pyproject.toml",
    )
    groups: dict[str, _Group] = {}
    for option in OPTIONS:
        if option.flagless:
            continue
        if option.group not in groups:
            groups[option.group] = _Group(parser, option.group)
            if option.group == addresses.GROUP:
                addresses.add_flags(groups[option.group].add_argument)
        _add(groups[option.group], option)
    return parser


def _add(group: _Group, option: Option) -> None:
    common: dict[str, Any] = {"dest": option.name, "default": argparse.SUPPRESS}
    if option.kind.switch:
        common["action"] = argparse.BooleanOptionalAction
    else:
        common |= {"action": "append" if option.kind.many else "store", "metavar": option.kind.metavar}
    group.add_argument(*option.all_flags, help=_help(option), **common)
    if option.alias_flags:
        group.add_argument(*option.alias_flags, help=argparse.SUPPRESS, **common)


def _help(option: Option) -> str:
    default = option.default
    if default is UNSET or default is None or default == [] or default == "":
        return option.help
    shown = ", ".join(default) if isinstance(default, list) else default
    return f"{option.help} (default: {shown})".replace("%", "%%")


def _long(option: Option) -> str:
    return option.all_flags[-1]


def expand(arguments: Sequence[str]) -> list[str]:
    """The arguments with abbreviated flags spelt out.

    Only those that Hypercorn 0.18 had can be abbreviated.
    """
    own = ["--help", "--help-all", "--config", "--version", "--print-config", "--check-config", "--completion"]
    known = {*own, *addresses.FLAGS, *(flag for o in OPTIONS for flag in (*o.all_flags, *o.alias_flags))}
    result: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return result + list(arguments[position:])
        name, equals, value = argument.partition("=")
        if name.startswith("--") and name not in known:
            meant = [flag for flag in _ABBREVIATED if flag.startswith(name)]
            if len(meant) == 1:
                argument = meant[0] + equals + value
        result.append(argument)
    return result


def apply_flags(config: Config, arguments: argparse.Namespace) -> None:
    """Sets what the flags say. Raises ConfigError, which names the flag."""
    given = vars(arguments)
    if arguments.application is not None:
        config.load({"application_path": arguments.application}, "argument application")
    for option in OPTIONS:
        if option.name in given:
            check_meaning(option.name, given[option.name])
            try:
                config.load({option.name: given[option.name]}, f"flag {_long(option)}")
            except ConfigError as error:
                raise ConfigError(f"{error}{elsewhere(_long(option))}") from None
    addresses.apply(config, arguments)


def no_application(arguments: argparse.Namespace) -> str:
    """What to say where no application is named."""
    taken = getattr(arguments, "access_log", None)
    if taken and ":" in taken:  # --access-log is a switch of uvicorn's and Granian's
        return f"no application given; the access log takes a file, or - for stdout: --access-log - {taken}"
    return "no application given; for example: hypercorn module:app"


def check_meaning(name: str, value: Any) -> None:
    """Refuses a value that shows that another server's meaning of a short flag is in the writer's mind.

    Raises ConfigError.
    """
    if name == "pid_path" and value.isdigit():
        raise ConfigError(f"-p {value}: -p is the file for the process id; a port is --port {value}")
    if name == "user" and "/" in value:
        raise ConfigError(f"-u {value}: -u is a user; a unix socket is --uds {value}")
    if name == "daemon":
        message = "--daemon is about child processes of workers: the server stays in the foreground"
        warnings.warn(message, ConfigWarning, stacklevel=2)


@contextmanager
def brief_warnings() -> Iterator[list[str]]:
    """Warnings about the configuration in one line each, without a place in the code. Gives what they said."""
    said: list[str] = []

    def show(message: Warning | str, *args: object, **kwargs: object) -> None:
        said.append(str(message))
        print(f"hypercorn: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=ConfigWarning)
        warnings.showwarning = show
        yield said
