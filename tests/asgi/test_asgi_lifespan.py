"""The lifespan of an application, in every way that it can go, on no loop at all."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import config

from hypercorn.asgi.lifespan import Lifespan
from hypercorn.config.options import limits_of
from hypercorn.errors import LifespanFailureError, LifespanTimeoutError, UnexpectedMessageError
from hypercorn.protocol.limits import Limits
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.testing import Task, sleep
from hypercorn.testing.memory import MemoryLog

MODES = pytest.mark.parametrize("mode", ["auto", "on"])


class Life:
    """A lifespan and its server: `startup()` and `shutdown()` run until all wait."""

    def __init__(self, app: Any, mode: str = "auto", **options: Any) -> None:
        self.runtime = MemoryRuntime()
        self.log = MemoryLog()
        self.settings = config(lifespan=mode, **options)
        self.settings._log = self.log  # type: ignore[assignment]  # what the tests can read
        self.state: dict[str, Any] = {}
        limits = Limits(limits_of(self.settings))
        self.lifespan = Lifespan(app, self.settings, limits, self.runtime, self.runtime.start, self.state)

    def run(self, function: Any, seconds: float = 0) -> Task:
        task = self.runtime.new_task(function(), self.runtime.variables.copy())
        task.step()
        self.runtime.advance(seconds)
        return task

    def startup(self, seconds: float = 0) -> Task:
        return self.run(self.lifespan.startup, seconds)

    def shutdown(self, seconds: float = 0) -> Task:
        return self.run(self.lifespan.shutdown, seconds)

    @property
    def problems(self) -> list[str]:
        return [entry.text for entry in self.log.at("warning", "error")]


def ended_well(task: Task) -> bool:
    return task.done and task.error is None


def script(*steps: Any) -> Any:
    """An application: "receive", a message to send, seconds to sleep, or an exception to raise."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        for step in steps:
            if step == "receive":
                seen.append(await receive())
            elif isinstance(step, BaseException):
                raise step
            elif isinstance(step, dict):
                await send(step)
            else:
                await sleep(step)

    app.seen = seen  # type: ignore[attr-defined]  # for the test
    return app


def say(name: str, **more: Any) -> dict[str, Any]:
    return {"type": f"lifespan.{name}", **more}


UP = ("receive", say("startup.complete"))
DOWN = ("receive", say("shutdown.complete"))


# -- as it should be


@MODES
def test_startup_and_shutdown(mode: str) -> None:
    app = script(*UP, *DOWN)
    life = Life(app, mode)
    assert ended_well(life.startup())
    assert ended_well(life.shutdown())
    scope, *messages = app.seen
    assert messages == [say("startup"), say("shutdown")]
    assert scope == {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    assert scope["state"] is life.state
    assert life.problems == []
    assert life.runtime.tasks == set()


def test_startup_waits_for_the_answer() -> None:
    """N14: so that nothing is accepted before."""
    life = Life(script("receive", 5, say("startup.complete"), *DOWN))
    task = life.startup(4.9)
    assert not task.done
    life.runtime.advance(0.1)
    assert ended_well(task)


def test_off_never_asks() -> None:
    app = script(*UP)
    life = Life(app, "off")
    assert ended_well(life.startup())
    assert ended_well(life.shutdown())
    assert app.seen == []


def test_work_between_the_two_goes_on() -> None:
    life = Life(script(*UP, 1000, *DOWN))
    assert ended_well(life.startup())
    life.runtime.advance(1000)
    assert ended_well(life.shutdown())


def test_shutdown_in_the_moment_in_which_startup_is_answered() -> None:
    """LC-15: the shutdown waits for its answer before the startup has taken notice of its own."""
    life = Life(None)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        ends.append(life.runtime.new_task(life.lifespan.shutdown(), life.runtime.variables.copy()))
        waiting = life.lifespan.watcher
        await send(say("startup.complete"))  # wakes the startup, which goes on once this task waits
        ends[0].step()
        assert life.lifespan.watcher is not waiting
        await script(0, *DOWN)(scope, receive, send)

    ends: list[Task] = []
    life.lifespan.app = app
    start = life.startup()
    life.runtime.advance(0)
    assert ended_well(start)
    assert ended_well(ends[0])


# -- startup goes wrong


@MODES
@pytest.mark.parametrize("more", [{}, {"message": "no database"}], ids=["LC-01-bare", "with-message"])
@pytest.mark.parametrize("then", [[], ["receive"], [1000], [ValueError("as Starlette raises it again")]])
def test_startup_failed(mode: str, more: dict[str, str], then: list[Any]) -> None:
    """N14, LC-01, Q-P-19: fatal in both modes, whatever the application does next; one message with its words."""
    life = Life(script("receive", say("startup.failed", **more), *then), mode)
    task = life.startup()
    assert isinstance(task.error, LifespanFailureError)
    assert str(task.error) == f"Lifespan failure in startup. '{more.get('message', '')}'"
    assert life.problems == []
    assert ended_well(life.shutdown())  # the application is not asked again


DECLINING = [
    ValueError("Django can only handle ASGI/HTTP connections, not lifespan."),
    ValueError("No application configured for scope type 'lifespan'"),  # Channels
    AssertionError(),
    NotImplementedError(),
    KeyError("path"),
]


@pytest.mark.parametrize("error", DECLINING, ids=repr)
def test_an_application_without_lifespan_is_no_problem(error: Exception) -> None:
    """One record at INFO; what it raises once it has taken the event is a problem."""
    life = Life(script(error), "auto")
    assert ended_well(life.startup(2))
    assert life.problems == []
    assert [entry.text for entry in life.log.at("info")] == [
        "The application has no lifespan: it is served without startup and shutdown"
    ]

    life = Life(script("receive", error), "auto")
    assert ended_well(life.startup(2))
    assert len(life.problems) == 1


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyError("lifespans")])
@pytest.mark.parametrize("first", [[], ["receive"], ["receive", 1]])
def test_startup_raises(error: BaseException, first: list[Any]) -> None:
    """LC-02, Q-P-20: "auto" goes on with one warning, "on" does not go on."""
    life = Life(script(*first, error), "auto")
    assert ended_well(life.startup(2))
    assert life.problems == [f"ASGI Framework Lifespan error, continuing without Lifespan support: {error!r}"]
    assert [entry.error for entry in life.log.at("debug")] == [error]
    assert ended_well(life.shutdown())

    life = Life(script(*first, error), "on")
    task = life.startup(2)
    assert isinstance(task.error, LifespanFailureError)
    assert "startup" in str(task.error)
    assert repr(error) in str(task.error)
    assert task.error.__cause__ is error
    assert life.problems == []


@pytest.mark.parametrize("first", [[], ["receive"], ["receive", 1]])
def test_startup_returns(first: list[Any]) -> None:
    """LC-03: silent in "auto": many applications know no lifespan."""
    life = Life(script(*first), "auto")
    assert ended_well(life.startup(2))
    assert life.problems == []
    assert ended_well(life.shutdown())

    task = Life(script(*first), "on").startup(2)
    assert isinstance(task.error, LifespanFailureError)
    assert "returned without answering" in str(task.error)


@MODES
@pytest.mark.parametrize("steps", [[], ["receive"], ["receive", "receive"]], ids=["deaf", "mute", "waiting"])
def test_startup_timeout(mode: str, steps: list[Any]) -> None:
    """LC-05: names startup and its setting, at the second that was set."""
    life = Life(script(*steps, 10_000), mode, startup_timeout=60)
    task = life.startup(59.9)
    assert not task.done
    life.runtime.advance(0.1)
    assert isinstance(task.error, LifespanTimeoutError)
    assert "awaiting startup" in str(task.error)
    assert "startup_timeout" in str(task.error)


def test_an_answer_cancels_the_timeout() -> None:
    life = Life(script(*UP, *DOWN), startup_timeout=60, shutdown_timeout=60)
    life.startup()
    life.shutdown()
    assert [timer for _, _, timer in life.runtime.timers if not timer.cancelled] == []


# -- in between, and shutdown


@MODES
def test_an_error_between_the_two(mode: str) -> None:
    """One record, with the error; the server goes on, and does not ask for a shutdown."""
    error = ValueError("x")
    life = Life(script(*UP, 5, error), mode)
    assert ended_well(life.startup())
    life.runtime.advance(10)
    assert [entry.error for entry in life.log.at("error")] == [error]
    assert ended_well(life.shutdown())
    assert len(life.problems) == 1


@MODES
def test_an_application_that_returns_after_startup(mode: str) -> None:
    life = Life(script(*UP), mode)
    assert ended_well(life.startup())
    assert ended_well(life.shutdown())
    assert life.problems == []


@MODES
@pytest.mark.parametrize("more", [{}, {"message": "not saved"}], ids=["bare", "with-message"])
def test_shutdown_failed(mode: str, more: dict[str, str]) -> None:
    life = Life(script(*UP, "receive", say("shutdown.failed", **more)), mode)
    life.startup()
    task = life.shutdown()
    assert isinstance(task.error, LifespanFailureError)
    assert str(task.error) == f"Lifespan failure in shutdown. '{more.get('message', '')}'"
    assert life.problems == []


def test_shutdown_raises() -> None:
    """One record, with the error."""
    error = ValueError("x")
    life = Life(script(*UP, "receive", error))
    life.startup()
    assert ended_well(life.shutdown())
    assert [entry.error for entry in life.log.at("error")] == [error]
    assert len(life.problems) == 1


@MODES
def test_shutdown_timeout(mode: str) -> None:
    """LC-05: names shutdown, not startup."""
    life = Life(script(*UP, "receive", 10_000), mode, shutdown_timeout=30)
    life.startup()
    task = life.shutdown(29.9)
    assert not task.done
    life.runtime.advance(0.1)
    assert isinstance(task.error, LifespanTimeoutError)
    assert "awaiting shutdown" in str(task.error)
    assert "startup" not in str(task.error)


# -- messages out of place


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(say("shutdown.complete"), id="shutdown-in-startup"),
        pytest.param(say("shutdown.failed"), id="failed-shutdown-in-startup"),
        pytest.param(say("startup.nonsense"), id="unknown"),
        pytest.param({"type": "http.response.start", "status": 200}, id="other-protocol"),
        pytest.param({"type": "startup.complete"}, id="no-prefix"),
    ],
)
def test_a_message_out_of_place_raises_in_the_application(message: dict[str, Any]) -> None:
    raised: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await send(message)
        except UnexpectedMessageError as error:
            raised.append(error)
        await send(say("startup.complete"))
        await receive()
        await send(say("shutdown.complete"))

    life = Life(app)
    assert ended_well(life.startup())
    assert len(raised) == 1
    assert ended_well(life.shutdown())


def test_an_answer_twice_raises_in_the_application() -> None:
    life = Life(script(*UP, say("startup.complete")))
    assert ended_well(life.startup())
    assert [type(entry.error) for entry in life.log.at("error")] == [UnexpectedMessageError]
