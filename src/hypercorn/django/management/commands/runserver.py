"""`manage.py runserver`: the project over Hypercorn, with WebSockets, static files and Django's own reload."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Literal

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
from django.core.management.commands.runserver import Command as RunserverCommand
from django.core.servers.basehttp import get_internal_wsgi_application
from django.db import connections
from django.utils import autoreload

import hypercorn
from hypercorn.django.applications import load_asgi
from hypercorn.django.development import DevelopmentServer, make_config
from hypercorn.errors import BindError, ConfigError


class Command(RunserverCommand):  # type: ignore[misc]
    """The command of Django with another server behind it; its flags and its output are kept."""

    help = "Starts a web server for development that serves ASGI or WSGI, WebSockets and static files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noasgi", action="store_false", dest="use_asgi", help="Serve WSGI_APPLICATION even with an ASGI one."
        )
        parser.add_argument("--certfile", help="Serve HTTPS, and HTTP/2, with this certificate (PEM).")
        parser.add_argument("--keyfile", help="The certificate's key, where it is in a file of its own (PEM).")
        if apps.is_installed("django.contrib.staticfiles"):
            parser.add_argument(
                "--nostatic",
                action="store_false",
                dest="use_static_handler",
                help="Tells Django to NOT automatically serve static files at STATIC_URL.",
            )
            parser.add_argument(
                "--insecure",
                action="store_true",
                dest="insecure_serving",
                help="Allows serving static files even if DEBUG is False.",
            )

    def run(self, **options: object) -> None:
        """Serves; where the code is reloaded, until the reloader leaves the process."""
        self.server = DevelopmentServer()
        try:
            super().run(**options)
        finally:
            self.server.stop()

    def inner_run(self, *args: object, **options: object) -> None:
        """Checks the project and serves it, in a thread where the code is reloaded."""
        autoreload.raise_last_exception()
        if not options["skip_checks"]:
            self.stdout.write("Performing system checks...\n\n")
            self.check(display_num_errors=True)
        self.check_migrations()
        for connection in connections.all(initialized_only=True):
            connection.close()
        app = load_asgi() if options["use_asgi"] else None
        interface = "WSGI" if app is None else "ASGI"
        if app is None:
            app = get_internal_wsgi_application()
        if options.get("use_static_handler") and (settings.DEBUG or options["insecure_serving"]):
            app = StaticFilesHandler(app) if interface == "WSGI" else ASGIStaticFilesHandler(app)
        known = {name: options[name] for name in ("certfile", "keyfile") if options[name]}
        if not options["use_threading"]:
            known["wsgi_threads"] = 1
        try:
            config = make_config(self.bind(), **known)
            mode: Literal["asgi", "wsgi"] = "wsgi" if interface == "WSGI" else "asgi"
            self.server.serve(app, mode, config, lambda urls: self.started(interface, urls[0]))
        except (BindError, ConfigError) as error:
            self.stderr.write(f"Error: {error}")
            sys.stdout.flush()
            os._exit(1)  # SystemExit would end the thread alone
        if options.get("shutdown_message"):
            self.stdout.write(options["shutdown_message"])

    def bind(self) -> str:
        """The address to listen on, as Hypercorn writes it."""
        address = "0.0.0.0" if self.addr == "0" else self.addr
        return f"[{address}]:{self.port}" if self._raw_ipv6 else f"{address}:{self.port}"

    def started(self, interface: str, url: str) -> None:
        """Says where it serves, in the words of Django's own server."""
        leave = "CTRL-BREAK" if sys.platform == "win32" else "CONTROL-C"
        self.stdout.write(
            f"{datetime.now():%B %d, %Y - %X}\n"
            f"Django version {self.get_version()}, using settings {settings.SETTINGS_MODULE!r}\n"
            f"Starting {interface} development server (Hypercorn {hypercorn.__version__}) at {url}/\n"
            f"Quit the server with {leave}."
        )
        self.stdout.flush()
