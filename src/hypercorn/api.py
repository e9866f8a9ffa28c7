"""The functions of the package itself: `hypercorn.run`, `hypercorn.serve` and `hypercorn.server`.

They take the application and options by name, and find out which library's loop runs. `hypercorn.asyncio` and
`hypercorn.trio` have the same two coroutines for one library each, with a `Config`.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from hypercorn.application_types import Framework
from hypercorn.cli.terminal import show_requests
from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.net.address import DEFAULT_PORT
from hypercorn.runtime.server import Server

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hypercorn.config.attributes import Options

__all__ = ("run", "serve", "server")

_DEFAULT_HOST = "127.0.0.1"


def run(
    app: str | Framework,
    config: Config | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    **options: Unpack[Options],
) -> None:
    """Serves an application as a process of its own does, and returns when SIGINT or SIGTERM has ended the server.

        hypercorn.run("main:app", port=8000, workers=4)

    app: "module:name", as on the command line, or the application itself, which one process serves without reload
    config: options as an object; those given by name come on top of it
    host, port: one address to listen on, in the place of `bind`; 127.0.0.1 and 8000 where only the other is given
    options: all others, by the names of `Config`; `reload=True` restarts the server when source files change

    Raises ConfigError for a wrong option, SystemExit with an exit code of the command line's where the server could
    not start or crashed.
    """
    made = _config(config, host, port, options, "hypercorn.run()")
    show_requests(made)
    if isinstance(app, str):
        made.application_path = app
        code = importlib.import_module("hypercorn.run").run(made)
        if code:
            raise SystemExit(code)
        return
    for name, wanted in (("workers", made.workers > 1), ("reload", made.reload)):
        if wanted:
            raise ConfigError(
                f"{name}: other processes import the application by its name, so pass that to hypercorn.run() "
                'in the place of the object: "module:app"'
            )
    _run_here(app, made)


def _run_here(app: Framework, config: Config) -> None:
    """Serves an application on a new loop of the configured kind."""
    if config.worker_class == "trio":
        import trio

        from hypercorn.trio import serve as serve_on_trio

        trio.run(serve_on_trio, app, config)
        return
    import asyncio

    from hypercorn.asyncio import serve as serve_on_asyncio

    # `serve` warns of a worker class, which is that of somebody else's loop; here it is the one that was asked for.
    plain = copy.copy(config)
    plain.worker_class = "asyncio"
    if config.worker_class == "uvloop":
        import uvloop

        uvloop.run(serve_on_asyncio(app, plain))
    elif config.worker_class == "asyncio":
        asyncio.run(serve_on_asyncio(app, plain))
    else:
        raise ConfigError(f'worker_class: "asyncio", "uvloop" or "trio", not {config.worker_class!r}')


async def serve(
    app: str | Framework,
    config: Config | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    shutdown_trigger: Callable[..., Awaitable[object]] | None = None,
    mode: Literal["asgi", "wsgi"] | None = None,
    task_status: object = None,
    **options: Unpack[Options],
) -> None:
    """Serves an application on the running loop, asyncio's or trio's, until a signal comes or the trigger returns.

    The arguments are those of `run` and of `hypercorn.asyncio.serve`. `task_status` is told the addresses once
    connections are accepted (`await nursery.start(...)` of trio, `await task_group.start(...)` of anyio).

    Raises as `hypercorn.asyncio.serve` does, and RuntimeError where neither library runs.
    """
    package = _running("serve")
    made = _config(config, host, port, options, "hypercorn.serve()")
    known = {} if task_status is None else {"task_status": task_status}
    await package.serve(app, made, shutdown_trigger=shutdown_trigger, mode=mode, **known)


@asynccontextmanager
async def server(
    app: str | Framework,
    config: Config | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    mode: Literal["asgi", "wsgi"] | None = None,
    **options: Unpack[Options],
) -> AsyncIterator[Server]:
    """Serves an application while the block runs, on the running loop, asyncio's or trio's.

        async with hypercorn.server(app, port=0) as running:
            print(running.addresses)

    Raises as `serve` does. No signal is handled.
    """
    package = _running("server")
    async with package.server(app, _config(config, host, port, options, "hypercorn.server()"), mode=mode) as running:
        yield running


def _running(name: str) -> Any:
    """The package of the library whose loop runs here."""
    lowlevel = sys.modules.get("trio.lowlevel")
    if lowlevel is not None and lowlevel.in_trio_run():
        return importlib.import_module("hypercorn.trio")
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"hypercorn.{name}() needs a running loop of asyncio or trio; hypercorn.run() starts one"
        ) from None
    return importlib.import_module("hypercorn.asyncio")


def _config(
    config: Config | None, host: str | None, port: int | None, options: Mapping[str, object], source: str
) -> Config:
    """A configuration with these options on top of another one, which stays as it is."""
    if host is not None or port is not None:
        if "bind" in options:
            raise ConfigError(f"{source}: give either bind, or host and port")
        name = _DEFAULT_HOST if host is None else host
        name = f"[{name}]" if ":" in name and not name.startswith("[") else name
        options = {**options, "bind": [f"{name}:{DEFAULT_PORT if port is None else port}"]}
    return (Config() if config is None else config).with_options(options, source)
