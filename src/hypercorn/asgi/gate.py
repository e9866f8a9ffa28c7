"""The steps between a request and the application: proxies' fields, the server's own responses, limits, counters.

`open_gate` sets a context up for the options that ask for any of it. Without them a request passes no gate.
`context_of` makes the context of a worker.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from hypercorn.asgi.clients import ClientLimits
from hypercorn.asgi.context import ASGIContext, Gate
from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.asgi.overload import Overload, can_be_overloaded
from hypercorn.asgi.responses import PLAIN_TEXT, RETRY_AFTER, length_of, respond
from hypercorn.asgi.streams import StreamContext
from hypercorn.config import Config
from hypercorn.metrics.counters import Counters
from hypercorn.net.proxies import ProxyHeaders, TrustedProxies

if TYPE_CHECKING:
    from hypercorn.asgi.telemetry import Telemetry
    from hypercorn.certificates.challenges import Challenges
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.protocol.limits import Limits
    from hypercorn.protocol.runtime import Runtime

NO_STORE = (b"cache-control", b"no-store")
HEALTH, READY = "/health", "/ready"  # where no other paths are named


class Health:
    """The health and readiness of a worker, and the applications that answer for them."""

    def __init__(self, is_ready: Callable[[], bool] = lambda: True) -> None:
        self.is_ready = is_ready
        self.draining = False

    async def alive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application of the health path."""
        await respond_in_text(scope, send, 200, b"ok\n", NO_STORE)

    async def ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application of the readiness path."""
        if self.draining or not self.is_ready():
            await respond_in_text(scope, send, 503, b"not ready\n", NO_STORE, RETRY_AFTER)
        else:
            await respond_in_text(scope, send, 200, b"ready\n", NO_STORE)


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of requests that are too many."""
    await respond_in_text(scope, send, 503, b"too many requests at the moment\n", RETRY_AFTER)


class Throttle:
    """The application of requests that a client sends too often."""

    def __init__(self, clients: ClientLimits, counters: Counters | None) -> None:
        self.clients = clients
        self.counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.counters is not None:
            self.counters.refused(429)
        fields = self.clients.fields(self.clients.wait(scope, ""))
        await respond_in_text(scope, send, 429, b"too many requests of this client\n", *fields)


class Challenged:
    """The application of requests that ask for the answer to an ACME challenge."""

    def __init__(self, challenges: Challenges) -> None:
        self.challenges = challenges

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]  # perhaps with `root_path` before it
        answer = self.challenges.answer(path[path.rfind(self.challenges.PATH) :])
        await respond_in_text(scope, send, 404 if answer is None else 200, answer or b"it is over\n", NO_STORE)


async def misdirect(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of requests whose host, as the proxy names it, is none of `server_names`."""
    await respond_in_text(scope, send, 404, b"no such host here\n")


async def respond_in_text(scope: Scope, send: Send, status: int, body: bytes, *fields: tuple[bytes, bytes]) -> None:
    """A whole response, to a request or to a WebSocket's handshake."""
    shown = b"" if scope.get("method") == "HEAD" else body
    headers = (PLAIN_TEXT, length_of(body), *fields)
    await respond(send, status, headers, shown, websocket=scope["type"] == "websocket")


def trusted_proxies(config: Config) -> TrustedProxies | None:
    """The proxies that are trusted, or None without any."""
    return TrustedProxies(config.trusted_proxies) if config.trusted_proxies else None


def telemetry_of(config: Config, logger: ErrorLog) -> Telemetry | None:
    """What spans and metrics of a worker go to, where the option `otel` asks for them. Raises ConfigError."""
    if not config.otel:
        return None
    from hypercorn.asgi.telemetry import Telemetry  # whose libraries are large

    return Telemetry.open(logger)


def context_of(
    runtime: Runtime,
    app: Callable[..., Awaitable[object]],
    config: Config,
    logger: ErrorLog,
    limits: Limits | None = None,
    telemetry: Telemetry | None = None,
) -> StreamContext:
    """The context of a worker: one that observes its exchanges where an option asks for that."""
    if config.server_timing != "off" or telemetry is not None:
        from hypercorn.asgi.observed import ObservedContext  # which few need

        return ObservedContext(runtime, app, config, logger, limits, telemetry)
    return StreamContext(runtime, app, config, logger, limits)


def open_gate(
    context: StreamContext,
    config: Config,
    health: Health,
    counters: Counters | None,
    clients: ClientLimits | None = None,
) -> None:
    """Sets up what the requests of a context pass. Call it once the context's log is there."""
    gate = Gate()
    trusted = trusted_proxies(config)
    if trusted is not None:
        wanted = [name for name in ("host", "port", "prefix") if getattr(config, f"forwarded_{name}")]
        gate.proxy = ProxyHeaders(trusted, config.proxy_headers, wanted)
        if config.server_names and gate.proxy.moves_host:
            gate.misdirected = context_for(context, config, misdirect)
    paths: dict[str | None, Callable[..., Awaitable[object]]] = {
        config.health_path: health.alive,
        config.ready_path: health.ready,
    }
    answers: dict[str, ASGIContext] = {
        path: context_for(context, config, app) for path, app in paths.items() if path is not None
    }
    if answers:
        gate.answers = answers
    acme = config.acme_settings()
    if acme is not None:
        from hypercorn.certificates.challenges import Challenges

        gate.challenges = Challenges(acme.challenge_folder)
        gate.challenged = context_for(context, config, Challenged(gate.challenges))
    if can_be_overloaded(context.limits):
        counters = counters if counters is not None else Counters()
        gate.overload = Overload(context.runtime, counters, context.limits)
        gate.overloaded = context_for(context, config, refuse)
    if clients is not None:
        gate.clients = clients
        gate.throttled = context_for(context, config, Throttle(clients, counters))
    if config.websocket_broadcast:
        from hypercorn.asgi.broadcast import Broadcast  # which few need

        gate.broadcast = Broadcast(context.runtime)
    if counters is not None:
        context.records.keep(context.records.access, counters)
    limits = counters is not None or clients is not None
    extensions = acme is not None or gate.broadcast is not None
    if trusted or answers or limits or extensions or context.added_path:
        context.gate = gate


def context_for(context: StreamContext, config: Config, app: Callable[..., Awaitable[object]]) -> StreamContext:
    """A context for requests of the same connections that another application answers."""
    other = StreamContext(context.runtime, app, config, context.records.logger, context.limits)
    other.records = context.records.uncounted()
    return other
