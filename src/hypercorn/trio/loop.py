"""trio's time, tasks and waiting, as connections and streams use them: the hot half of the runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import Any

from hypercorn.asgi.call import AppCall
from hypercorn.clock import monotonic
from hypercorn.objects import copy_of
from hypercorn.protocol.ports import Runtime

PARKED = 1000  # tasks that wait for an application call at the most


def trap_of(waiting: Any) -> Any:
    """What a coroutine that waits gives trio to make it wait."""
    trap = waiting.send(None)
    waiting.close()
    return trap


class TrioLoop(Runtime):
    """A trio run."""

    __slots__ = (
        "aborted",
        "calls",
        "cancel_call",
        "checkpoint",
        "ended",
        "idle",
        "new_waiter",
        "place",
        "queue",
        "report",
        "reschedule",
        "run_call",
        "run_context",
        "running",
        "start_call",
        "start_timer",
        "token",
        "variables",
        "waking",
    )

    def __init__(self, token: Any, new_waiter: Callable[[], Any]) -> None:
        self.token = token
        self.new_waiter = new_waiter
        # Requests start from the variables of the server's start, never from another request's.
        self.variables: Context = copy_context()
        self.start_call: Any = None  # start_soon of the nursery of the calls
        self.run_call: Any = None
        self.start_timer: Any = None
        self.cancel_call: Any = None
        self.aborted: Any = None  # what trio is told when a parked task is cancelled
        self.idle: list[Place] = []  # of parked tasks
        self.queue: deque[Any] = deque()  # calls that have not begun
        self.waking = False  # a task is on its way to them
        self.running: dict[Any, Place] = {}  # calls that wait for something
        self.calls = 0  # that have begun and not ended
        self.ended: Callable[[], None] | None = None
        self.report: Any = None  # takes what a callback raised
        self.reschedule: Any = None
        self.place: Place | None = None  # whose call has its step right now
        self.run_context: Any = None  # where trio keeps the current task; None: no call goes on without its task's turn
        self.checkpoint: Any = None  # what tells trio that a task gives way to others and goes on in its next turn

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.token.run_sync_soon(self.run_guarded, callback)

    def run_guarded(self, callback: Callable[[], object]) -> None:
        """Runs a callback. What it raises would end trio, and with it the server."""
        try:
            callback()
        except Exception as error:
            self.report(error)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return self.start_timer(max(0.0, when - monotonic()), callback)

    def spawn(self, coroutine: Any) -> Any:
        if self.idle and self.run_context is not None:
            place = self.idle.pop()
            return place.begin(coroutine)
        self.queue.append(coroutine)
        if not self.waking:
            self.wake_task()
        return coroutine

    def wake_task(self) -> None:
        """Has one task take what is in the queue: a parked one, or a new one."""
        self.waking = True
        if self.idle:
            self.reschedule(self.idle.pop().task)
        else:
            self.variables.copy().run(self.start_call, self.run_call)

    def call_ended(self) -> None:
        """A call has ended, in whatever way."""
        self.calls -= 1
        if self.ended is not None:
            self.ended()

    def cancel(self, call: Any) -> None:
        self.cancel_call(call)

    def waiter(self) -> Any:
        return self.new_waiter()

    def wake(self, waiter: Any) -> None:
        waiter.wake()

    def parking(self) -> Any:
        place = self.place
        if place is None or self.run_context is None:
            return self.new_waiter()
        waiter = Parking.__new__(Parking)
        waiter.place = place
        waiter.woken = False
        return waiter

    def resume(self, waiter: Any) -> None:
        if type(waiter) is Parking and self.place is None:
            parking: Parking = waiter
            if parking.place.parked is parking and parking.place.is_parked():
                parking.woken = True
                parking.place.go_on()
                return
        waiter.wake()


class Parking:
    """What an application call awaits in the task of its place."""

    __slots__ = ("place", "woken")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.woken = False

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """One step of the wait: `value` is the outcome that trio has for it, or None."""
        if value is not None:
            value.unwrap()
        elif not self.woken:
            self.place.parked = self
            return self.place.trap
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        """Something is thrown into the task: the wait is over."""
        raise kind if value is None else value

    def close(self) -> None:
        """The wait is over."""

    def wake(self) -> None:
        """Ends the wait: the task goes on in its turn."""
        if not self.woken:
            self.woken = True
            place = self.place
            if place.parked is self:
                place.parked = None
                place.loop.reschedule(place.task)


class Place:
    """What a task for application calls awaits: it begins the calls of the queue, one after the other, each with a
    fresh context. Those that end in their first step, as most do, share one step of one task. One that waits for
    something keeps the task until it has ended; another task takes the rest of the queue.

    scope: around the task, cancelled to cancel the call
    wait: trio's `wait_task_rescheduled`
    """

    __slots__ = ("call", "forget", "loop", "parked", "rest", "scope", "scopes", "task", "trap", "waiting")

    def __init__(self, loop: TrioLoop, task: Any, scope: Any, wait: Any) -> None:
        self.loop = loop
        self.task = task
        self.scope = scope
        self.parked: Parking | None = None  # what the call waits for
        self.forget: Any = self.cancelled  # as one object
        # What tells trio to wait: for the call's stream, and for a call.
        self.trap: Any = trap_of(wait(self.forget))
        self.rest: Any = trap_of(wait(self.abort))
        self.waiting: Any = type(self.trap)
        # Not public; without it a scope left open is noticed only when the task ends.
        self.scopes = getattr(task, "_cancel_status", None)
        self.call: AppCall | None = None

    def abort(self, _: Any) -> Any:
        """Cancelled while parked."""
        if self in self.loop.idle:
            self.loop.idle.remove(self)
        return self.loop.aborted

    def cancelled(self, _: Any) -> Any:
        """The call was cancelled while it waited for its stream."""
        self.parked = None
        return self.loop.aborted

    def is_parked(self) -> bool:
        """Whether trio has the task wait for this place, and for nothing else."""
        return getattr(self.task, "_abort_func", None) is self.forget

    def begin(self, call: AppCall) -> AppCall | None:
        """Begins a call while this place is idle. None where it has ended."""
        loop = self.loop
        context = copy_of(loop.variables)
        if self.step(call, context) and call.failure is None:
            if self.spoilt():
                loop.reschedule(self.task)
            else:
                loop.idle.append(self)
                self.wait(self.rest)
            return None
        loop.calls += 1
        self.call = call
        self.task.context = context
        loop.running[call] = self
        self.leave(call)
        return call

    def go_on(self) -> None:
        """Does the next step of the call that is parked here."""
        call: AppCall = self.call  # type: ignore[assignment]  # there is one
        self.parked = None
        if self.step(call, self.task.context) and call.failure is None:
            self.over()
        self.leave(call)

    def step(self, call: AppCall, context: Context) -> bool:
        """One step of a call in the midst of another task's, as trio would do it in this one's turn: to wake a task
        costs more than what most calls do in a step. Returns True where the call has ended, well or not."""
        loop = self.loop
        run_context = loop.run_context
        place = loop.place
        task = run_context.task
        self.task._abort_func = None
        run_context.task = self.task
        loop.place = self
        try:
            return call.start(context)
        except BaseException:  # kept in the call: the task raises it
            return True
        finally:
            loop.place = place
            run_context.task = task

    def leave(self, call: AppCall) -> None:
        """After such a step: where the call waits, so does the task; anything else is for the task's own turn."""
        if type(call.held) is self.waiting:
            trap = call.held
            call.holding = False
            call.held = None
            self.wait(trap)
            return
        if call.holding and call.held is self.loop.checkpoint:  # to give way and to be woken are one turn
            call.holding = False
            call.held = None
        self.loop.reschedule(self.task)

    def wait(self, trap: Any) -> None:
        """Has the task wait, as trio does when a task gives it `trap`."""
        task = self.task
        task._abort_func = trap.abort_func
        task._attempt_delivery_of_any_pending_cancel()

    def spoilt(self) -> bool:
        """A call left a scope or a nursery of its own open: the task can serve no other."""
        return getattr(self.task, "_cancel_status", None) is not self.scopes

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        while True:
            call = self.call
            if call is None:
                if value is not None:
                    value.unwrap()
                    value = None
                call = self.begin_calls()
                if call is None:
                    if self.spoilt() or len(self.loop.idle) >= PARKED:
                        raise StopIteration
                    self.loop.idle.append(self)
                    return self.rest
            self.loop.place = self
            try:
                return call.send(value)
            except StopIteration:
                self.over()
                value = None
            except BaseException:
                self.over()
                raise
            finally:
                self.loop.place = None

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        call = self.call
        if call is None:
            raise kind if value is None else value
        self.loop.place = self
        try:
            return call.throw(kind if value is None else value)
        except StopIteration:
            self.over()
        except BaseException:
            self.over()
            raise
        finally:
            self.loop.place = None
        return self.send(None)

    def close(self) -> None:
        if self.call is not None:
            self.call.close()
            self.over()

    def begin_calls(self) -> AppCall | None:
        """Takes calls from the queue until one has to wait: that one, or None where none does."""
        loop = self.loop
        try:
            while loop.queue and not self.spoilt():
                call: AppCall = loop.queue.popleft()
                context = copy_of(loop.variables)
                loop.calls += 1
                ended = True
                loop.place = self
                try:
                    ended = call.start(context)
                finally:
                    loop.place = None
                    if ended:
                        loop.call_ended()
                if not ended:
                    self.call = call
                    self.task.context = context
                    loop.running[call] = self
                    return call
        finally:
            loop.waking = False
            if loop.queue:
                loop.wake_task()
        return None

    def over(self) -> None:
        """The call that waited has ended."""
        loop = self.loop
        del loop.running[self.call]
        self.call = None
        self.task.context = loop.variables  # lets go of the call's own
        loop.call_ended()
