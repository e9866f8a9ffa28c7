"""The server decides nothing by the attributes that an application object happens to have: a middleware with attributes
`app` and `max_body_size` was once taken for the server's own wrapper, and left out. This lists every place that asks an
object for an attribute by name, and fails when another one comes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "hypercorn"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ASKING = ("hasattr", "getattr", "getattr_static", "vars", "dir")
# Names of an application in the source, or of what one is wrapped in, or called with.
APPLICATIONS = ("app", "application", "self.app", "self.application", "wrapped", "factory")

# Objects that are no application, by the text of the first argument.
MODULES = {"asyncio", "atexit", "coroutines", "inspect", "os", "signal", "socket", "subprocess", "sys", "sys.flags"}
MODULES |= {"threading", "typing", "importlib.import_module"}
OWN = {"self", "cls", "type(self)", "self.runtime", "self.sockets", "sockets", "connection"}  # of the server
OWN |= {"config", "server.config", "arguments", "settings"}  # options, and those of Django
OWN |= {"log", "self.log", "self.config.log", "self.worker.log", "logger", "self.error_logger", "handler"}  # of logging

# The others, one by one, each with what the object is.
ALLOWED = {
    # Of applications: only what tells whether, and with how many arguments, they can be called, or their names.
    "asgi/kinds.py": {
        "hasattr(app, '__await__')": "a class whose instances are awaited is ASGI: the language says so by this name",
        "getattr(app, '__call__', None)": "the method that a call of the object runs",
        "getattr(app, '__wrapped__', None)": "what functools.wraps says that a decorator wraps",
        "getattr(app, '__qualname__', None)": "its name, for the text of an error",
        "getattr(called, '__signature__', None)": "the signature that somebody declared (inspect.signature reads it)",
        "inspect.getattr_static(app, '__call__', None)": "whether instances of a class are called",
        "inspect.getattr_static(type(app), '__call__', None)": "the method that a call of the object runs",
        "inspect.getattr_static(app, '__new__')": "whether a class makes something else than its instances",
        "hasattr(app, name)": "whether instances of a class can be iterated, as WSGI's responses (PEP 3333)",
        "vars(object)": "object's own __new__",
    },
    "asgi/calling.py": {
        "hasattr(app, '__qualname__')": "its name, which its tasks get",
        "getattr(function, '__name__', None)": "the same",
        "getattr(function, '__qualname__', None)": "the same",
    },
    # Of what applications give and raise.
    "asgi/failures.py": {
        "getattr(one, 'exceptions', None)": "the members of a group of exceptions, also of a backport's",
        "getattr(error, 'exceptions', None)": "the same",
    },
    "asgi/wsgi_response.py": {
        "getattr(iterable, 'close', None)": "PEP 3333 has the server call it where it is there",
        "hasattr(filelike, 'close')": "the same, of a file",
        "getattr(file, '__dict__', ())": "whether a file's read was replaced",
        "getattr(self.filelike, 'seekable', None)": "whether a file can be positioned",
        "hasattr(self.filelike, 'seek')": "the same",
    },
    "supervisor/exit_codes.py": {"getattr(error, 'exceptions', None)": "the members of a group of exceptions"},
    "trio/worker.py": {"getattr(error, 'split', None)": "a group of exceptions, also of a backport's"},
    # Of modules.
    "asgi/loading.py": {
        "hasattr(module, name)": "whether a module has `app`, or `application`",
        "getattr(module, name)": "the callables of a module, for the text of an error",
        "hasattr(module, '__file__')": "where a module comes from",
        "getattr(module, '__file__', None)": "the same",
        "vars(module)": "the names of a module",
    },
    "compat/utils.py": {"getattr(module, '__file__', None)": "where a module comes from"},
    "supervisor/__init__.py": {"getattr(api, name)": "a module of this package"},
    "supervisor/launch.py": {
        "getattr(main, '__file__', None)": "the program's module",
        "getattr(main, '__spec__', None)": "the same",
    },
    # Of the server's own objects, of libraries and of the standard library.
    "_cpython/certificates.py": {"getattr(inner, 'get_unverified_chain', None)": "a connection of ssl"},
    "_cpython/process.py": {"getattr(module, name, None)": "a module of the standard library"},
    "asgi/slow.py": {"getattr(receive, '__self__', None)": "the server's own receive, whose exchange has the time"},
    "asgi/wsgi_timing.py": {"getattr(receive, '__self__', None)": "the exchange whose method it is"},
    "asgi/telemetry.py": {
        "getattr(provider, 'force_flush', None)": "a provider of OpenTelemetry, which an application may have made",
        "getattr(route, 'routes', None)": "a route of Starlette: the name of the span",
        "getattr(route, 'path_format', None)": "the same",
        "getattr(route, 'path', None)": "the same",
    },
    "asgi/streams.py": {"getattr(head, 'headers', None)": "a request's head, or what was refused"},
    "config/__init__.py": {
        "getattr(one, '__annotations__', ())": "a class of Config",
        "hasattr(value, '__get__')": "an attribute of a class of Config",
        "getattr(owner if instance is None else instance, self.name)": "Config, or an instance",
        "vars(one)": "a class of Config",
    },
    "config/sources.py": {
        "dir(instance)": "an object that options are read from",
        "getattr(instance, name)": "the same",
        "getattr(_import_or_none(parent), attribute)": "a module, or a class, that an option names",
    },
    "logs/logger.py": {"getattr(getattr(handler, 'console', None), 'file', None)": "a handler of rich"},
    "metrics/openmetrics.py": {"getattr(found, field)": "the figures of a process"},
    "net/proxies.py": {"getattr(address, 'ipv4_mapped', None)": "an address of ipaddress"},
    "net/tls.py": {"getattr(context, 'set_ciphersuites', None)": "a context of ssl"},
    "protocol/http3/qpack.py": {"getattr(self.decoder, 'cancel_stream', None)": "a decoder of pylsqpack"},
    "protocol/quic/connection.py": {"getattr(path, 'peer_cid', None)": "a path of aioquic"},
    "runtime/requests.py": {
        "getattr(awaitable, name, None)": "what a task awaits, for a list of requests; nothing is decided by it",
        "getattr(code, 'co_qualname', code.co_name)": "a code object, which has no such name in Python 3.10",
    },
    "asyncio/worker.py": {"getattr(task, 'get_coro', None)": "what a task factory made, for a list of requests"},
    "certificates/acme_client.py": {"getattr(self.raw, name)": "the body of a response, of urllib3"},
    "cli/check/connecting.py": {"getattr(failures[0], 'strerror', None)": "what the resolver raised"},
    "runtime/trace.py": {
        "getattr(receive, '__self__', None)": "the server's own receive, whose connection is told",
        "getattr(self.transport.get_extra_info('ssl_object'), 'version', None)": "an object of ssl, or None",
    },
    "runtime/udp.py": {"hasattr(sock, 'sendmsg')": "a socket"},
    "testing/clients.py": {"getattr(event, 'stream_id', None)": "an event of h2"},
}

# Attributes of an application that are read without asking whether they are there.
READ = {
    "asgi/calling.py": {"app.func"},  # of a functools.partial
    "asgi/loading.py": {"app.close"},  # of a coroutine, which is refused
    "trio/worker.py": {"app.__module__", "app.__qualname__"},  # the name of its tasks
}


def asked_in(source: str) -> Iterator[str]:
    """Calls that ask an object for an attribute by name, but those of modules and of the server's own objects."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rpartition(".")[2] in ASKING:
            subject = ast.unparse(node.args[0])
            if subject not in MODULES | OWN and subject.partition("(")[0] not in MODULES:
                yield ast.unparse(node)


def read_in(source: str) -> Iterator[str]:
    """Attributes of applications."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in APPLICATIONS:
            yield ast.unparse(node)


def test_each_place_that_asks_for_an_attribute_has_a_reason() -> None:
    found = {(str(path.relative_to(PACKAGE)), asked) for path in SOURCES for asked in asked_in(path.read_text())}
    listed = {(path, asked) for path, reasons in ALLOWED.items() for asked in reasons}
    assert not found - listed, "add it to ALLOWED if the object is no application, or nothing is decided by it"
    assert not listed - found, "take it out of ALLOWED: it is not there any more"


def test_attributes_of_applications_that_are_read() -> None:
    found = {str(path.relative_to(PACKAGE)): set(read_in(path.read_text())) for path in SOURCES}
    own = {"config/options/__init__.py": {"application.OPTIONS"}}  # a module of that name
    assert {path: read for path, read in found.items() if read} == READ | own


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.p[xy][xid]")), ids=lambda path: path.name)
def test_compiled_code_asks_for_none(path: Path) -> None:
    assert not re.search(rf"\b({'|'.join(ASKING[:3])})\(|\b(app|application)\.\w", path.read_text())


def test_the_checks_see_what_they_look_for() -> None:
    source = "if hasattr(app, 'max_body_size'): app = app.app\nstate = getattr(self.app, 'state', None)\nos.getpid()"
    assert list(asked_in(source)) == ["hasattr(app, 'max_body_size')", "getattr(self.app, 'state', None)"]
    assert list(read_in(source)) == ["app.app"]
    assert list(asked_in("getattr(os, 'fork', None)")) == []
