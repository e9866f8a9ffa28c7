"""The servers of the comparison, and how each is started: one worker, no access log, its fastest loop and parser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.processes import ROOT, ServerError, ServerProcess

CONFIG = str(ROOT / "bench" / "hypercorn.toml")
OURS, PEER = "ours", "peer"
THREADS = "4"  # of every server of WSGI applications


class Start(NamedTuple):
    """What a server is to serve, and where."""

    bin: Path  # of the environment that it is installed in
    app: str
    port: int
    certificate: tuple[str, str] | None  # files of the certificate and its key

    @property
    def bind(self) -> str:
        return f"127.0.0.1:{self.port}"

    def tls(self, certificate: str, key: str) -> list[str]:
        """The flags for the certificate, under the names that a server gives them."""
        return [] if self.certificate is None else [certificate, self.certificate[0], key, self.certificate[1]]


Command = Callable[[Start], list[str]]


class Server(NamedTuple):
    """One line of the table."""

    name: str
    label: str
    kind: str  # OURS or PEER
    bin: Path
    command: Command
    can_tls: bool = True
    pure: bool = False
    interface: str = "asgi"  # of the applications that it serves

    def start(
        self,
        app: str,
        port: int,
        certificate: tuple[str, str] | None = None,
        process: type[ServerProcess] = ServerProcess,
    ) -> ServerProcess:
        """The server, to be used in a `with` block."""
        if certificate is not None and not self.can_tls:
            raise ServerError("does not do TLS")
        environment = {
            **os.environ,
            "PYTHONPATH": import_path(self.kind),
            "HYPERCORN_PURE_PYTHON": "1" if self.pure else "0",
        }
        return process(self.command(Start(self.bin, app, port, certificate)), port, environment)


def import_path(kind: str) -> str:
    """Where a server finds the applications. Only ours may find this project's source tree, if that is where it is
    imported from: a peer's environment has an earlier hypercorn."""
    inherited = os.environ.get("PYTHONPATH", "") if kind == OURS else ""
    return os.pathsep.join([*(os.path.abspath(path) for path in inherited.split(os.pathsep) if path), str(ROOT)])


def hypercorn(loop: str, start: Start) -> list[str]:
    tls = start.tls("--certfile", "--keyfile")
    return [str(start.bin / "hypercorn"), "-c", CONFIG, "-k", loop, "-b", start.bind, *tls, start.app]


def hypercorn_wsgi(loop: str, start: Start) -> list[str]:
    threads = ["--wsgi-threads", THREADS]
    return [str(start.bin / "hypercorn"), "-c", CONFIG, "-k", loop, "-b", start.bind, *threads, f"wsgi:{start.app}"]


def uvicorn(loop: str, parser: str, start: Start) -> list[str]:
    tls = start.tls("--ssl-certfile", "--ssl-keyfile")
    quiet = ["--no-access-log", "--log-level", "warning"]
    how = ["--port", str(start.port), "--loop", loop, "--http", parser]
    return [str(start.bin / "uvicorn"), *how, *quiet, *tls, start.app]


def granian(loop: str, start: Start) -> list[str]:
    tls = start.tls("--ssl-certificate", "--ssl-keyfile")
    quiet = ["--no-access-log", "--log-level", "warning"]
    how = ["--interface", "asgi", "--loop", loop, "--port", str(start.port)]
    return [str(start.bin / "granian"), *how, *quiet, *tls, start.app]


def gunicorn(start: Start) -> list[str]:
    tls = start.tls("--certfile", "--keyfile")
    return [str(start.bin / "gunicorn"), "-k", "asgi", "-b", start.bind, "--log-level", "error", *tls, start.app]


def granian_wsgi(start: Start) -> list[str]:
    quiet = ["--no-access-log", "--log-level", "warning"]
    how = ["--interface", "wsgi", "--blocking-threads", THREADS, "--port", str(start.port)]
    return [str(start.bin / "granian"), *how, *quiet, start.app]


def gunicorn_threads(start: Start) -> list[str]:
    how = ["-k", "gthread", "--threads", THREADS, "--keep-alive", "60", "--log-level", "error"]
    return [str(start.bin / "gunicorn"), "-b", start.bind, *how, start.app]


def h2corn(start: Start) -> list[str]:
    return [str(start.bin / "h2corn"), "--bind", start.bind, *start.tls("--certfile", "--keyfile"), start.app]


def daphne(start: Start) -> list[str]:
    return [str(start.bin / "daphne"), "-p", str(start.port), "-v", "0", start.app]


def fastpysgi(start: Start) -> list[str]:
    return [str(start.bin / "python"), "-m", "bench.run_fastpysgi", str(start.port), start.app]


# name, label, the file in `bin` that tells that it is installed, command, TLS
PEERS: tuple[tuple[str, str, str, Command, bool], ...] = (
    ("uvicorn", "uvicorn (httptools, uvloop)", "uvicorn", partial(uvicorn, "uvloop", "httptools"), True),
    ("uvicorn-h11", "uvicorn (h11, asyncio)", "uvicorn", partial(uvicorn, "asyncio", "h11"), True),
    ("granian", "granian (asyncio)", "granian", partial(granian, "asyncio"), True),
    ("granian-uvloop", "granian (uvloop)", "granian", partial(granian, "uvloop"), True),
    ("gunicorn", "gunicorn (asgi)", "gunicorn", gunicorn, True),
    ("h2corn", "h2corn", "h2corn", h2corn, True),
    ("fastpysgi", "fastpysgi", "fastpysgi", fastpysgi, False),
    ("daphne", "daphne", "daphne", daphne, False),
    ("old-asyncio", "hypercorn 0.18 (asyncio)", "hypercorn", partial(hypercorn, "asyncio"), True),
    ("old-uvloop", "hypercorn 0.18 (uvloop)", "hypercorn", partial(hypercorn, "uvloop"), True),
    ("old-trio", "hypercorn 0.18 (trio)", "hypercorn", partial(hypercorn, "trio"), True),
)


# Of WSGI applications.
WSGI_PEERS: tuple[tuple[str, str, str, Command], ...] = (
    ("gunicorn-gthread", "gunicorn (gthread)", "gunicorn", gunicorn_threads),
    ("granian-wsgi", "granian (wsgi)", "granian", granian_wsgi),
)


def ours(bin: Path, compiled: bool) -> list[Server]:
    """This project's servers: every loop, and every build that there is."""
    servers = []
    for pure in (False, True) if compiled else (True,):
        for loop in ("uvloop", "asyncio", "trio"):
            name = f"ours-{loop}{'-pure' if pure else ''}"
            label = f"hypercorn ({loop}{', pure' if pure else ''})"
            servers.append(Server(name, label, OURS, bin, partial(hypercorn, loop), pure=pure))
            wsgi = partial(hypercorn_wsgi, loop)
            servers.append(Server(f"wsgi-{'pure-' if pure else ''}{loop}", label, OURS, bin, wsgi, False, pure, "wsgi"))
    return servers


def peers(bin: Path) -> list[Server]:
    """Those of `PEERS` that are installed."""
    return [
        Server(name, label, PEER, bin, command, can_tls)
        for name, label, file, command, can_tls in PEERS
        if (bin / file).exists()
    ] + [
        Server(name, label, PEER, bin, command, False, interface="wsgi")
        for name, label, file, command in WSGI_PEERS
        if (bin / file).exists()
    ]


def all_servers(peers_folder: Path | None) -> list[Server]:
    """Ours, then the peers of the environment `peers_folder`. Raises ServerError where one of them has nothing."""
    bin = Path(sys.executable).parent
    if not (bin / "hypercorn").exists():
        raise ServerError("this environment has no command `hypercorn`: install the project into it")
    found = ours(bin, is_compiled())
    if peers_folder is not None:
        theirs = peers(peers_folder / "bin")
        if not theirs:
            raise ServerError(f"no peer is installed in {peers_folder} (python -m bench.peers {peers_folder})")
        found += theirs
    return found


def chosen(servers: Iterable[Server], patterns: Iterable[str]) -> list[Server]:
    """Those whose names match one of the shell patterns; all without a pattern. Raises ServerError for none."""
    servers = list(servers)
    found = []
    for pattern in patterns:
        matching = [server for server in servers if fnmatchcase(server.name, pattern)]
        if not matching:
            names = ", ".join(server.name for server in servers)
            raise ServerError(f"no server {pattern!r} here (there are {names})")
        found += [server for server in matching if server not in found]
    return found or servers


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The options that choose servers."""
    parser.add_argument("--server", nargs="+", default=[], metavar="NAME", help="shell patterns match")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="environment of the peers, made by bench.peers")


def asgi_servers(options: argparse.Namespace) -> list[Server]:
    """The servers of ASGI applications that those options choose. Raises ServerError."""
    return chosen([one for one in all_servers(options.peers) if one.interface == "asgi"], options.server)


def is_compiled() -> bool:
    """True where the compiled build is there for this interpreter."""
    from hypercorn._build import has_extensions

    return has_extensions()


def version(server: Server) -> str:
    """The version of the package behind a server, as its environment knows it."""
    if server.kind == OURS:
        import hypercorn as package

        return package.__version__
    name = "hypercorn" if server.name.startswith("old-") else server.name.partition("-")[0]
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([str(server.bin / "python"), "-c", code], capture_output=True, text=True, timeout=30)
    return done.stdout.strip() or "unknown"
