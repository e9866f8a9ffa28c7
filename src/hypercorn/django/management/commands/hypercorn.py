"""`manage.py hypercorn`: the command `hypercorn` for the project's own application, for production."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from hypercorn.django.applications import application_path


class Command(BaseCommand):  # type: ignore[misc]
    """Starts Hypercorn in the place of this process, which so never has two copies of the project in memory."""

    help = "Serves the project in production. Arguments are those of the command hypercorn: see hypercorn --help."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.usage = f"{parser.prog} [options of hypercorn]"

    def run_from_argv(self, argv: list[str]) -> None:
        """Takes the arguments as they are; `manage.py` itself has read --settings and --pythonpath."""
        folder = os.path.dirname(os.path.abspath(argv[0]))
        self.start(["--app-dir", folder, *without_djangos(argv[2:]), application_path()])

    def handle(self, *args: object, **options: object) -> None:
        """For `call_command("hypercorn")`, with the options of the environment and of the configuration file."""
        self.start([application_path()])

    def start(self, arguments: list[str]) -> None:
        """Becomes the server. Where a process cannot become another program, serves in this one."""
        if sys.platform == "win32":
            from hypercorn.__main__ import main

            sys.exit(main(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        flags = [f"-W{option}" for option in sys.warnoptions]
        flags += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
        os.execv(sys.executable, [sys.executable, *flags, "-m", "hypercorn", *arguments])


def without_djangos(arguments: list[str]) -> list[str]:
    """The arguments without those that every command of Django has."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if name not in ("--settings", "--pythonpath"):
            kept.append(argument)
        elif not equals:
            next(rest, None)
    return kept
