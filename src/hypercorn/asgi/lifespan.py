"""The application's lifespan (ASGI lifespan 2.0): startup before the first request, shutdown after the last.

`lifespan = "auto"` goes on without an application that does not know the scope, `"on"` does not, `"off"` never asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING

from hypercorn.asgi.messages import Message, Scope
from hypercorn.errors import LifespanFailureError, LifespanTimeoutError, SpecificationError, UnexpectedMessageError
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.runtime import Runtime, Waiter

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import LifespanState


# What the scopes of requests have, and that of the lifespan has not.
_REQUEST_KEYS = frozenset(
    {"client", "headers", "http_version", "method", "path", "query_string", "raw_path", "root_path", "scheme", "server"}
)


def declines(error: BaseException) -> bool:
    """True for what applications raise that know only requests, as those of Django and Channels do."""
    if isinstance(error, KeyError):
        return error.args[:1] != () and error.args[0] in _REQUEST_KEYS
    return isinstance(error, (AssertionError, NotImplementedError)) or "lifespan" in str(error).lower()


class Lifespan:
    """One lifespan call of the application. `state` is what it leaves for the requests."""

    def __init__(
        self,
        app: Callable[..., Awaitable[object]],
        config: Config,
        limits: Limits,
        runtime: Runtime,
        start: Callable[[Callable[[], Coroutine[object, None, None]]], None],
        state: LifespanState,
        notice: Callable[[str], object] | None = None,
        offer: Callable[[Scope], object] | None = None,
    ) -> None:
        self.app = app
        self.config = config
        self.limits = limits
        self.runtime = runtime
        self.start = start  # runs an async function in a background task
        self.logger = config.log
        self.state = state
        self.notice = self.logger.log_info if notice is None else notice  # logs a text at INFO
        self.offer = offer  # puts extensions into the scope
        self.supported = config.lifespan != "off"
        self.messages: list[Message] = []
        self.receiver: Waiter | None = None
        self.watcher: Waiter | None = None
        self.stage = "startup"
        self.answered: set[str] = set()  # the stages that the application has completed
        self.failure: LifespanFailureError | None = None
        self.error: BaseException | None = None
        self.received = False  # the application has taken an event
        self.ended = False

    async def startup(self) -> None:
        """Starts the call and waits for its answer.

        Raises LifespanFailureError when the application says it failed (or, with `on`, cannot do it), and
        LifespanTimeoutError after `startup_timeout` seconds.
        """
        if self.supported:
            self.start(self.run)
            await self.ask("startup", self.limits.startup_timeout)

    async def shutdown(self) -> None:
        """Tells the application that the server ends. Raises as `startup` does, with `shutdown_timeout`."""
        if self.supported and not self.ended and self.failure is None and "startup" in self.answered:
            self.stage = "shutdown"
            await self.ask("shutdown", self.limits.shutdown_timeout)

    async def ask(self, stage: str, timeout: float) -> None:
        """Sends one event and waits until it is answered, or the call has ended."""
        self.messages.append({"type": f"lifespan.{stage}"})
        self.notify("receiver")
        expired: list[bool] = []
        timer = watcher = None
        if timeout < inf:

            def expire() -> None:
                expired.append(True)
                self.notify("watcher")

            timer = self.runtime.call_at(self.runtime.now() + timeout, expire)
        try:
            while stage not in self.answered and not self.ended and not expired:
                watcher = self.watcher = self.runtime.waiter()
                await watcher
        finally:
            if self.watcher is watcher:  # the shutdown may watch before the startup has taken notice of its answer
                self.watcher = None
            if timer is not None:
                timer.cancel()
        if self.failure is not None:
            raise self.failure
        if expired and stage not in self.answered:
            raise LifespanTimeoutError(stage)
        if self.ended and stage not in self.answered:
            self.not_supported(stage)

    def not_supported(self, stage: str) -> None:
        """The call ended without an answer: decide what that means."""
        self.supported = False
        if self.config.lifespan == "on":
            detail = "the application returned without answering" if self.error is None else repr(self.error)
            raise LifespanFailureError(stage, detail) from self.error
        if self.error is not None and stage == "startup":
            if not self.received and declines(self.error):
                self.notice("The application has no lifespan: it is served without startup and shutdown")
            else:
                text = "ASGI Framework Lifespan error, continuing without Lifespan support: %r"
                self.logger.log_warning(text, self.error)
            self.logger.log_debug("The lifespan call raised %r", self.error, exc_info=self.error)

    async def run(self) -> None:
        """The application's call, from startup to shutdown."""
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        if self.offer is not None:
            self.offer(scope)
        try:
            await self.app(scope, self.receive, self.send)
        except LifespanFailureError as error:
            if error is not self.failure:
                self.crashed(error)
        except (Exception, SystemExit) as error:
            self.crashed(error)
        finally:
            self.ended = True
            self.notify("watcher")

    def crashed(self, error: BaseException) -> None:
        """The application raised."""
        self.error = error
        if self.failure is not None:
            return  # it said so before
        if isinstance(error, SpecificationError) and self.stage not in self.answered:
            self.failure = LifespanFailureError(self.stage, str(error))
            return
        if self.stage == "shutdown":
            self.logger.log_error("ASGI Framework Lifespan errored during shutdown.", exc_info=error)
        elif "startup" in self.answered:
            self.logger.log_error("ASGI Framework Lifespan error, shutdown without Lifespan support", exc_info=error)

    async def receive(self) -> Message:
        """The ASGI `receive` of the lifespan scope."""
        while not self.messages:
            self.receiver = self.runtime.waiter()
            try:
                await self.receiver
            finally:
                self.receiver = None
        self.received = True
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        """The ASGI `send` of the lifespan scope."""
        kind = message["type"]
        stage = self.stage
        if stage in self.answered or kind not in (f"lifespan.{stage}.complete", f"lifespan.{stage}.failed"):
            raise UnexpectedMessageError(kind, stage)
        if kind.endswith("failed"):
            self.failure = LifespanFailureError(stage, message.get("message", ""))
        self.answered.add(stage)
        self.notify("watcher")

    def notify(self, name: str) -> None:
        """Wakes whoever waits as `name`."""
        waiter = getattr(self, name)
        if waiter is not None:
            self.runtime.wake(waiter)
