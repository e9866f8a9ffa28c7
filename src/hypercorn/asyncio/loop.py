"""asyncio's time, tasks and waiting, as connections and streams use them: the hot half of the runtime."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from hypercorn.asgi.call import APP_ERRORS, AppCall
from hypercorn.asyncio.calltask import LAZY, CallTask
from hypercorn.clock import monotonic
from hypercorn.objects import Slot, copy_of, is_untouched, new_object, references
from hypercorn.protocol.ports import Runtime

Task = asyncio.Task
CancelledError = asyncio.CancelledError
current_task = asyncio.current_task
coroutine_of: Any = Task.get_coro
EAGER = sys.version_info >= (3, 12)
QUIET = (*APP_ERRORS, CancelledError)  # what a call may end with: its stream has told of it
init_task: Any = Task.__init__
call_of = Slot(CallTask.call)  # the call of such a task
# Where asyncio keeps which task is current in each loop, and which have begun without being scheduled.
current_tasks: Any = getattr(asyncio.tasks, "_current_tasks", None)
eager_tasks: Any = getattr(asyncio.tasks, "_eager_tasks", None)


def references_here() -> int:
    """What `references` says of an object that only a local variable has."""
    task = object()
    return references(task)


KNOWN_HERE = references_here()


def tasks_are_known_by(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether asyncio looks for a loop's current task where this module puts it."""
    if type(current_tasks) is not dict:
        return False
    before = current_tasks.get(loop)
    probe: Any = object()
    current_tasks[loop] = probe
    try:
        return current_task(loop) is probe
    finally:
        del current_tasks[loop]
        if before is not None:
            current_tasks[loop] = before


class Parking:
    """What one task awaits: as much of a future as a task asks for.

    A future's task goes on in a later turn of the loop. `step` lets it go on at once, as an eager task starts at once.
    A call that goes on without its task (`AsyncioLoop.go_on`) and parks again leaves the task where it is, at the first
    parking, which is then the `host` of the next one.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.host: Parking | None = None
        self.call: Any = None  # that waits here, where it has a host
        self.callback: Any = None  # the task's own, which steps it
        self.context: Any = None
        self.ended = False
        self.is_cancelled = False
        self.message: Any = None  # of the cancellation
        self._asyncio_future_blocking = False

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        if not self.ended:
            self._asyncio_future_blocking = True
            return self
        self.result()
        raise StopIteration

    def send(self, value: Any) -> Any:
        """One step of the wait, as a generator's."""
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """The task was cancelled, or something else is thrown into it: the wait is over."""
        error = kind if value is None else value
        raise error() if isinstance(error, type) else error

    def close(self) -> None:
        """The wait is over."""

    def get_loop(self) -> Any:
        """The loop, which has to be the task's."""
        return self.loop

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        """The task's: there is one. Another's comes as soon as the loop can."""
        if self.ended or self.callback is not None:
            self.loop.call_soon(callback, self, context=context)
        else:
            self.callback = callback
            self.context = context

    def remove_done_callback(self, callback: Any) -> int:
        """Forgets the task."""
        if self.callback != callback:
            return 0
        self.callback = None
        return 1

    def done(self) -> bool:
        """True once it has ended, in whatever way."""
        return self.ended

    def cancelled(self) -> bool:
        """True once it was cancelled."""
        return self.is_cancelled

    def result(self) -> None:
        """Raises CancelledError where it was cancelled."""
        if self.is_cancelled:
            raise CancelledError(self.message) if self.message else CancelledError

    def exception(self) -> None:
        """None; raises CancelledError where it was cancelled."""
        self.result()

    def set_result(self, value: None) -> None:
        """Ends it; the task goes on in the loop's next turn."""
        self.ended = True
        if self.host is not None:
            self.leave().set_result(None)
            return
        callback = self.callback
        if callback is not None:
            self.callback = None
            self.loop.call_soon(callback, self, context=self.context)

    def cancel(self, msg: Any = None) -> bool:
        """The task's way to be cancelled while it waits, be it as a host."""
        if self.ended and self.callback is None:
            return False
        self.is_cancelled = True
        self.message = msg
        self.set_result(None)
        return True

    def step(self) -> None:
        """Ends it; the task goes on before this returns. Never from inside of a task."""
        self.ended = True
        if self.host is not None:
            self.leave().step()
            return
        callback = self.callback
        self.callback = None
        self.context.run(callback, self)

    def leave(self) -> Parking:
        """Lets go of the host, and gives it."""
        host: Parking = self.host  # type: ignore[assignment]  # asked of those that have one
        self.host = self.call = None
        return host


class AsyncioLoop(Runtime):
    """A running asyncio loop, or uvloop's."""

    __slots__ = ("calls", "eager", "ended", "handle", "lazy", "loop", "ready", "spare", "variables", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.calls: set[asyncio.Task[Any]] = set()  # application calls that did not end in their first step
        self.ended: Callable[[], None] | None = None  # told whenever one of them ends
        # Requests start from the variables of the server's start, never from another request's.
        self.variables: Context = copy_context()
        self.eager = EAGER and loop.get_task_factory() is None
        self.lazy = self.eager and LAZY and type(eager_tasks) is set and tasks_are_known_by(loop)
        self.spare: Any = None  # a task that a call had for its one step, and that nobody else saw
        # Calls that go on in the loop's next turn, and the callback that they share. Whether it is the last that the
        # loop was asked for is known only where its queue is to be seen (not on uvloop); else each has one of its own.
        self.waiting: list[Any] = []
        self.handle: Any = None
        ready = getattr(loop, "_ready", None)
        self.ready: deque[Any] | None = ready if isinstance(ready, deque) else None

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.loop.call_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return self.loop.call_later(max(0.0, when - monotonic()), callback)

    def spawn(self, coroutine: Any) -> Any:
        if self.lazy:
            task = self.first_step(coroutine)
            if task is None:
                return None
        elif self.eager:
            task = Task(coroutine, loop=self.loop, eager_start=True, context=self.variables.copy())  # type: ignore[call-arg, unused-ignore]  # since 3.12
            if task.done():
                if not task.cancelled() and task.exception() is not None:
                    self.report(task.exception())
                return None
        else:
            task = self.variables.copy().run(self.loop.create_task, coroutine)
        self.calls.add(task)
        coroutine.task = task
        return task

    def first_step(self, call: Any) -> Any:
        """Does the first step of a call. Returns its task, or None where it has ended."""
        task = self.spare
        if task is None:
            task = new_object(CallTask)
        else:
            self.spare = None
        call_of.set(task, call)
        eager_tasks.add(task)
        if not self.step(task, call, copy_of(self.variables)):
            return task
        eager_tasks.discard(task)
        if is_untouched(task):
            call_of.set(task, None)
            self.spare = task  # as good as a new one
        elif references(task) > KNOWN_HERE:
            task.set_up()  # somebody kept it: let it end
        return None

    def enter(self, task: Any) -> Any:
        """Makes `task` the current one. Returns the one before, or None."""
        before = current_tasks.get(self.loop) if current_tasks else None
        current_tasks[self.loop] = task
        return before

    def leave(self, before: Any) -> None:
        """Makes what was current before a task was entered current again."""
        if before is None:
            del current_tasks[self.loop]
        else:
            current_tasks[self.loop] = before

    def step(self, task: Any, call: Any, context: Context) -> bool:
        """Does a step of a call whose task is not set up. True where the call has ended."""
        before = self.enter(task)
        try:
            ended = call.start(context)
        except CancelledError:
            ended = True
        except KeyboardInterrupt:  # the loop's, as from a task
            eager_tasks.discard(task)
            raise
        except BaseException as error:
            call.failure = None  # told here
            self.report(error)
            ended = True
        finally:
            self.leave(before)
        if ended:
            return True
        if call_of.get(task) is None:  # it was set up
            eager_tasks.discard(task)
        elif call.held is None:
            call.holding = False
            self.go_on_soon(task)
        else:
            call_of.set(task, None)
            eager_tasks.discard(task)
            init_task(task, call, loop=self.loop, context=context, eager_start=True)
        return False

    def go_on_soon(self, task: Any) -> None:
        """A call gave way to others (`asyncio.sleep(0)`) and goes on in the loop's next turn. For that it needs no task
        that is set up. Calls between which nobody else asked the loop for a turn share one callback."""
        ready = self.ready
        if ready and self.handle is not None and ready[len(ready) - 1] is self.handle:
            self.waiting.append(task)
        else:
            self.waiting = [task]
            self.handle = self.loop.call_soon(self.take_turns, self.waiting, context=self.variables)

    def take_turns(self, waiting: list[Any]) -> None:
        """The next step of calls that gave way."""
        waiting.reverse()
        try:
            while waiting:
                task = waiting.pop()
                call = call_of.get(task)
                if call is None:  # it was set up, and does its steps by itself
                    eager_tasks.discard(task)
                    continue
                call.task = None
                if not self.step(task, call, call.context):
                    call.task = task
                    continue
                eager_tasks.discard(task)
                self.calls.discard(task)
                if references(task) > KNOWN_HERE:
                    task.set_up()
                if self.ended is not None:
                    self.ended()
        finally:
            if waiting:
                waiting.reverse()
                self.loop.call_soon(self.take_turns, waiting, context=self.variables)

    def cancel(self, call: Any) -> None:
        call.cancel()

    def call_over(self, call: Any, error: BaseException | None) -> None:
        task = call.task
        call.task = None
        self.calls.discard(task)
        if error is not None and not isinstance(error, QUIET):
            task.add_done_callback(self.call_failed)
        if self.ended is not None:
            self.ended()

    def call_failed(self, task: asyncio.Task[Any]) -> None:
        """A call ended with what is no application error."""
        if not task.cancelled() and task.exception() is not None:
            self.report(task.exception())

    def report(self, error: BaseException | None) -> None:
        """What a call let through that is no application error: it ends this call and nothing else."""
        self.loop.call_exception_handler({"message": "A request ended in an internal error", "exception": error})

    def waiter(self) -> Any:
        return self.loop.create_future()

    def wake(self, waiter: Any) -> None:
        if not waiter.done():
            waiter.set_result(None)

    def parking(self) -> Any:
        place = Parking.__new__(Parking)  # as Parking(self.loop), without the call
        place.loop = self.loop
        place.host = place.call = place.callback = place.context = place.message = None
        place.ended = place.is_cancelled = place._asyncio_future_blocking = False
        return place

    def resume(self, waiter: Any) -> None:
        place: Parking = waiter
        host: Parking = place if place.host is None else place.host
        if place.ended or host.callback is None or current_task(self.loop) is not None:
            self.wake(place)
        elif self.lazy and (place.host is not None or self.find_call(place)):
            self.go_on(place, host)
        else:
            place.step()

    def find_call(self, place: Parking) -> bool:
        """Whether it is an application call, in its own task, that waits here."""
        task = getattr(place.callback, "__self__", None)
        if isinstance(task, Task):
            call = coroutine_of(task)
            if type(call) is AppCall and call.task is task:
                place.call = call
                return True
        return False

    def go_on(self, place: Parking, host: Parking) -> None:
        """Does the next step of the call that waits at `place` while its task stays parked at `host`: a task that is
        woken and parks again costs more than what a call does for a small message. Whatever else the step comes to,
        the task does: it waits for what the call waits for, or ends."""
        call = place.call
        place.host = place.call = None
        place.ended = True
        before = self.enter(call.task)
        try:
            ended = call.start(host.context)
        except BaseException:  # kept in the call: the task raises it
            ended = True
        finally:
            self.leave(before)
        if not ended and type(call.held) is Parking:
            after: Parking = call.held
            if after._asyncio_future_blocking and not after.ended and after.callback is None:
                call.holding = False
                call.held = None
                after._asyncio_future_blocking = False
                after.host = host
                after.call = call
                return
        if host.callback is not None:
            host.step()
