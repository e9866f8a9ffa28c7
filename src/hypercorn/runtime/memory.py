"""Time, tasks and waiting on no event loop: the runtime of `hypercorn.testing`, whose clock a test moves."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context

from hypercorn.asgi.calling import run_call
from hypercorn.protocol.runtime import Call, Runtime

ENDLESS = 1_000_000  # steps without a pause after which a test is taken for an endless loop
_running: list[MemoryRuntime] = []


class Cancelled(BaseException):
    """The exception that `Task.cancel` throws into a task."""


class Waiter:
    """The awaitable that a task of `MemoryRuntime` suspends on."""

    __slots__ = ("done", "task")

    def __init__(self) -> None:
        self.done = False
        self.task: Task | None = None

    def __await__(self) -> Generator[Waiter, None, None]:
        if not self.done:
            yield self


class Timer:
    """A callback that waits for its time."""

    __slots__ = ("callback", "cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """The callback does not run any more."""
        self.cancelled = True


class Task:
    """A coroutine that a `MemoryRuntime` steps. Await it for its result."""

    def __init__(self, runtime: MemoryRuntime, coroutine: Coroutine[object, None, object], context: Context) -> None:
        self.runtime = runtime
        self.coroutine = coroutine
        self.context = context
        self.waiting: Waiter | None = None
        self.watchers: list[Waiter] = []
        self.call: Call | None = None  # the application call that it runs
        self.done = False
        self.value: object = None
        self.error: BaseException | None = None

    def step(self, error: BaseException | None = None) -> None:
        """Runs the coroutine until it suspends or ends."""
        if self.done:
            return
        if self.waiting is not None:
            self.waiting.task = None
            self.waiting = None
        _running.append(self.runtime)
        try:
            if error is None:
                waiter = self.context.run(self.coroutine.send, None)
            else:
                waiter = self.context.run(self.coroutine.throw, error)
        except StopIteration as stop:
            self.finish(stop.value, None)
        except KeyboardInterrupt:
            raise  # the person at the keyboard
        except BaseException as raised:
            self.finish(None, raised.with_traceback(raised.__traceback__ and raised.__traceback__.tb_next))
        else:
            self.suspend(waiter)
        finally:
            _running.pop()
            del self  # frames of the exception's traceback refer to this one

    def suspend(self, waiter: object) -> None:
        """Waits for what the coroutine gave."""
        if not isinstance(waiter, Waiter):
            problem = TypeError(f"a task in memory cannot wait for {waiter!r}")
            self.runtime.call_soon(lambda: self.step(problem))
        elif waiter.done:
            self.runtime.call_soon(self.step)
        else:
            self.waiting = waiter
            waiter.task = self

    def finish(self, value: object, error: BaseException | None) -> None:
        """The coroutine has ended."""
        self.done = True
        self.value = value
        self.error = error
        self.runtime.tasks.discard(self)
        if self.call is not None and self.call in self.runtime.calls:  # cancelled before its first step
            self.call.end_call(error)
        for watcher in self.watchers:
            self.runtime.wake(watcher)

    def cancel(self) -> None:
        """Throws `Cancelled` into the coroutine, as soon as the others wait."""
        self.runtime.call_soon(lambda: self.step(Cancelled()))

    def __await__(self) -> Generator[object, None, object]:
        if not self.done:
            waiter = Waiter()
            self.watchers.append(waiter)
            yield from waiter.__await__()
        if self.error is not None:
            raise self.error
        return self.value


class MemoryRuntime(Runtime):
    """Time, tasks and waiting without a loop: time moves by `advance`, tasks run in `run`.

    eager: a spawned call takes its first step at once, as on asyncio since Python 3.12; else in the next
    `run`, as on trio and older Pythons.
    """

    def __init__(self, *, eager: bool = True) -> None:
        super().__init__()
        self.eager = eager
        self.time = 1000.0
        self.ready: deque[Callable[[], object]] = deque()
        self.timers: list[tuple[float, int, Timer]] = []
        self.timers_made = 0
        self.tasks: set[Task] = set()
        self.calls: dict[Call, Task] = {}  # of application calls that have not ended
        self.variables = copy_context()

    def now(self) -> float:
        return self.time

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.ready.append(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        timer = Timer(when, callback)
        self.timers_made += 1
        heapq.heappush(self.timers, (when, self.timers_made, timer))
        return timer

    def spawn(self, call: Call) -> Call | None:
        task = self.calls[call] = self.new_task(run_call(call), self.variables.copy())
        task.call = call
        if self.eager:
            task.step()
        else:
            self.ready.append(task.step)
        return call if call in self.calls else None

    def call_over(self, call: Call, error: BaseException | None) -> None:
        self.calls.pop(call, None)

    def cancel(self, call: Call) -> None:
        if call in self.calls:
            call.cancelled_by_server = True
            self.calls[call].cancel()

    def new_task(self, coroutine: Coroutine[object, None, object], context: Context) -> Task:
        """A task with these context variables that has not started."""
        task = Task(self, coroutine, context)
        self.tasks.add(task)
        return task

    def start(self, function: Callable[[], Coroutine[object, None, None]]) -> None:
        """Runs an async function in the background."""
        self.ready.append(self.new_task(function(), self.variables.copy()).step)

    def waiter(self) -> Waiter:
        return Waiter()

    def wake(self, waiter: Waiter) -> None:
        if not waiter.done:
            waiter.done = True
            if waiter.task is not None:
                self.ready.append(waiter.task.step)

    def run(self) -> None:
        """Runs everything that can run."""
        for _ in range(ENDLESS):
            if not self.ready:
                return
            self.ready.popleft()()
        raise RuntimeError("the tasks do not come to rest")

    def advance(self, seconds: float) -> None:
        """Moves the clock; timers on the way run at their own time."""
        self.run()
        end = self.time + seconds
        while self.timers and self.timers[0][0] <= end:
            when, _, timer = heapq.heappop(self.timers)
            if not timer.cancelled:
                self.time = max(self.time, when)
                timer.callback()
                self.run()
        self.time = end


def start_task(coroutine: Coroutine[object, None, object]) -> Task:
    """Inside an application: runs a coroutine in a task beside it, which inherits its context variables."""
    runtime = _running[-1]
    task = runtime.new_task(coroutine, copy_context())
    runtime.call_soon(task.step)
    return task


async def sleep(seconds: float) -> None:
    """Inside an application: waits until the test has moved the clock that far. 0 lets the others run."""
    runtime = _running[-1]
    waiter = runtime.waiter()
    if seconds <= 0:
        runtime.call_soon(lambda: runtime.wake(waiter))
        await waiter
        return
    timer = runtime.call_at(runtime.now() + seconds, lambda: runtime.wake(waiter))
    try:
        await waiter
    finally:
        timer.cancel()


class Event:
    """Lets an application wait for its test, or the other way round: `set`, `await wait()`."""

    def __init__(self) -> None:
        self.is_set = False
        self.waiters: list[tuple[MemoryRuntime, Waiter]] = []

    def set(self) -> None:
        """Wakes all who wait."""
        self.is_set = True
        for runtime, waiter in self.waiters:
            runtime.wake(waiter)
        self.waiters.clear()

    async def wait(self) -> None:
        """Returns once it is set."""
        while not self.is_set:
            runtime = _running[-1]
            waiter = runtime.waiter()
            self.waiters.append((runtime, waiter))
            await waiter
