"""trio's time, tasks and waiting, as connections and streams use them: the hot half of the runtime."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import Any

from hypercorn.asgi.call import AppCall
from hypercorn.clock import monotonic
from hypercorn.protocol.ports import Runtime


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
        self.reschedule: Any = None
        self.place: Place | None = None  # whose call has its step right now
        self.run_context: Any = None  # where trio keeps the current task; None: no call goes on without its task's turn
        self.checkpoint: Any = None  # what tells trio that a task gives way to others and goes on in its next turn

    def now(self) -> float:
        return monotonic()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.token.run_sync_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        return self.start_timer(max(0.0, when - monotonic()), callback)

    def spawn(self, coroutine: Any) -> Any:
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


class Woken:
    """What a task that gave way gets when its turn has come: as much of trio's outcome as it asks for."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Nothing came of it."""


WOKEN = Woken()


class Place:
    """What a task for application calls awaits: it begins the calls of the queue, one after the other, each with a
    fresh context. Those that end in their first step, as most do, share one step of one task. One that waits for
    something keeps the task until it has ended; another task takes the rest of the queue.

    scope: around the task, cancelled to cancel the call
    wait: trio's `wait_task_rescheduled`
    """

    __slots__ = ("call", "forget", "gave_way", "loop", "parked", "scope", "scopes", "task", "trap", "waiting")

    def __init__(self, loop: TrioLoop, task: Any, scope: Any, wait: Any) -> None:
        self.loop = loop
        self.task = task
        self.scope = scope
        self.parked: Parking | None = None  # what the call waits for
        self.gave_way = False  # the call did, in its first step, and the task has its turn now
        self.forget: Any = self.cancelled  # as one object
        waiting = wait(self.forget)
        self.trap: Any = waiting.send(None)  # what tells trio to wait
        self.waiting: Any = type(self.trap)
        waiting.close()
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

    def go_on(self) -> None:
        """Does the next step of the call in the midst of another task's, as trio would in this one's turn: waking a
        task costs more than what most calls do in a step. Where the call waits again, so does the task, for whatever
        it is; anything else is left to the task's own turn."""
        loop = self.loop
        task = self.task
        call: AppCall = self.call  # type: ignore[assignment]  # a call is parked here
        before = loop.run_context.task
        self.parked = None
        task._abort_func = None
        loop.run_context.task = task
        loop.place = self
        try:
            ended = call.start(task.context)
        except BaseException:  # kept in the call: the task raises it
            ended = True
        finally:
            loop.place = None
            loop.run_context.task = before
        if ended:
            if call.failure is None:
                self.over()
        elif type(call.held) is self.waiting:
            task._abort_func = call.held.abort_func
            call.holding = False
            call.held = None
            task._attempt_delivery_of_any_pending_cancel()
            return
        elif call.held is loop.checkpoint:
            call.holding = False
            call.held = None
        loop.reschedule(task)

    def begin_parked(self, call: AppCall) -> None:
        """Begins a call in this place, whose task is parked, in the midst of another task's turn, as `go_on`."""
        loop = self.loop
        task = self.task
        context = loop.variables.copy()
        before = loop.run_context.task
        task._abort_func = None
        loop.run_context.task = task
        loop.place = self
        loop.calls += 1
        try:
            ended = call.start(context)
        except BaseException:  # kept in the call: the task raises it
            ended = False
        finally:
            loop.place = None
            loop.run_context.task = before
        if ended:
            loop.call_ended()
            if not self.spoilt():
                task._abort_func = self.abort
                loop.idle.append(self)
                task._attempt_delivery_of_any_pending_cancel()
                return
        else:
            self.call = call
            task.context = context
            loop.running[call] = self
            if call.holding and call.held is loop.checkpoint:  # to give way and to be woken are one turn
                call.holding = False
                call.held = None
                self.gave_way = True
        loop.reschedule(task)

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
                call = self.begin_calls()
                if call is None:
                    raise StopIteration
                value = None
            elif self.gave_way:
                self.gave_way = False
                value = WOKEN
            self.loop.place = self
            try:
                return call.send(value)
            except StopIteration:
                self.over()
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
                context = loop.variables.copy()
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
                    if loop.run_context is not None:
                        while loop.queue and loop.idle:
                            place = loop.idle.pop()
                            place.begin_parked(loop.queue.popleft())
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
