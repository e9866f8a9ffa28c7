"""The contract between the protocol floor and an event loop, a base class that each loop fills."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from hypercorn.protocol.turns import CALLS_PER_ROUND, GATHER_SECONDS, TURN_SECONDS

Waiter = Awaitable[object]  # what `Runtime.waiter` returns: `wake` ends it, and one task may await it


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> object:
        """Keeps the callback from running, if it has not run yet."""


class TakesTurns(Protocol):
    """A transport, whose turn may be cut short, and whose output waits for the end of a turn."""

    def next_turn(self) -> object:
        """Goes on with what the turn before left."""

    def end_turn(self) -> object:
        """Ends the turn, so that the output leaves."""

    def flush_early(self) -> object:
        """Sends the output, and leaves the rest of the turn's end for later."""

    def internal_error(self, error: Exception) -> object:
        """Ends the connection after a fault of the server's own."""


class SocketBatches(Protocol):
    """A reactor."""

    def is_behind(self) -> bool:
        """True while ready sockets wait for the next turn."""


class MultiplexedOrNot(Protocol):
    """A connection."""

    def is_multiplexed(self) -> bool:
        """True where many exchanges share it, so that one is cancelled while the others go on."""


class Call(Protocol):
    """An exchange, as the task of its application's call sees it."""

    cancelled_by_server: bool

    @property
    def runtime(self) -> Runtime:
        """The loop that the call runs on."""

    @property
    def connection(self) -> MultiplexedOrNot:
        """Where its request came from."""

    def call(self) -> Awaitable[object]:
        """Calls the application. Returns its awaitable."""

    def end_call(self, error: BaseException | None) -> None:
        """Takes how the call ended."""


class Runtime:
    """Time, tasks and waiting, as one event loop offers them."""

    __slots__ = (
        "gathering_since",
        "quick_steps",
        "reactor",
        "round_began_at",
        "step_ended_at",
        "turn_ends",
        "turn_ends_scheduled",
        "turns",
        "turns_scheduled",
        "unbegun",
        "waiting_calls",
        "written_at",
    )

    def __init__(self) -> None:
        self.quick_steps = 0  # application steps in a row, each shorter than GATHER_SECONDS
        self.step_ended_at = 0.0  # when the last application step that the server itself began had ended
        self.turns: OrderedDict[TakesTurns, None] = OrderedDict()  # transports whose turn was cut short
        self.turns_scheduled = False  # `take_turns` is going to be called
        self.turn_ends: deque[TakesTurns] = deque()  # transports with output from outside of a turn
        self.turn_ends_scheduled = False  # `end_turns` is going to be called
        self.gathering_since = 0.0  # when the first of `turn_ends` was written to, or when their output left last
        self.written_at = 0.0  # when a call wrote last, outside of a turn
        self.unbegun = 0  # calls whose tasks were started, and have not begun
        self.round_began_at = 0.0  # when the first of these began
        self.waiting_calls: deque[Waiter] = deque()  # of the next rounds of the loop
        self.reactor: SocketBatches | None = None  # the compiled reactor that serves this loop's sockets

    def now(self) -> float:
        """Monotonic seconds."""
        raise NotImplementedError

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Runs `callback` once the current task step has ended."""
        raise NotImplementedError

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Runs `callback` at `when` (seconds of `now`); the result has `cancel()`."""
        raise NotImplementedError

    def spawn(self, call: Call) -> object:
        """Runs the application call of an exchange in a task of its own, in a fresh copy of the server's context
        variables. Returns what `cancel` takes, or None where the call has ended already."""
        raise NotImplementedError

    def step_ended(self, since: float) -> None:
        """An application's step that the server began at `since` (seconds of `now`) has ended."""
        self.step_ended_at = self.now()
        if self.step_ended_at - since < GATHER_SECONDS:
            self.quick_steps += 1
        else:
            self.quick_steps = 0

    def turn_soon(self, transport: TakesTurns) -> None:
        """Schedules another turn of a transport, in the loop's next round, if it does not wait for one."""
        self.turns[transport] = None
        self.schedule_turns()

    def schedule_turns(self) -> None:
        """Has the loop call `take_turns`."""
        if not self.turns_scheduled:
            self.turns_scheduled = True
            self.call_soon(self.take_turns)

    def take_turns(self) -> None:
        """Runs the turns of transports that were cut short, for TURN_SECONDS at the most."""
        self.turns_scheduled = False
        until = self.now() + TURN_SECONDS
        while self.turns:
            transport, _ = self.turns.popitem(last=False)
            if self.turns:
                self.schedule_turns()  # should a loop run inside of the next step
            transport.next_turn()
            if self.step_ended_at > until:
                break

    def end_turn_soon(self, transport: TakesTurns) -> None:
        """Ends the turn of a transport that was written to outside of one, when the calls have had their steps in this
        round of the loop: one callback for all transports."""
        if not self.turn_ends:
            self.gathering_since = self.now()
        self.turn_ends.append(transport)
        self.schedule_turn_ends()  # in a reactor's turn, too, which may be inside of a step that runs the loop

    def schedule_turn_ends(self) -> None:
        """Has the loop call `end_turns`."""
        if not self.turn_ends_scheduled:
            self.turn_ends_scheduled = True
            self.call_soon(self.end_turns)

    def end_turns(self) -> None:
        """Ends those turns, for TURN_SECONDS at the most."""
        self.turn_ends_scheduled = False
        now = self.now()
        until = now + TURN_SECONDS
        if self.turn_ends and now - max(self.gathering_since, self.written_at) > TURN_SECONDS:
            self.quick_steps = 0  # they have waited for a step that was not quick
        while self.turn_ends:
            if self.step_ended_at > until:
                self.schedule_turn_ends()
                return
            transport = self.turn_ends.popleft()
            if self.turn_ends:
                self.schedule_turn_ends()  # should a loop run inside of a step
            try:
                transport.end_turn()
            except Exception as error:
                transport.internal_error(error)

    def may_gather(self) -> bool:
        """Returns True where what a call has just written, outside of a turn, may leave with the output of others later
        in this round. What waits leaves now if some of it has waited for TURN_SECONDS, or for one slow step."""
        now = self.now()
        slow = bool(self.turn_ends) and now - self.written_at > GATHER_SECONDS
        self.written_at = now
        if slow:
            self.quick_steps = 0
        if self.turn_ends and (slow or now - self.gathering_since > TURN_SECONDS):
            self.gathering_since = now
            for transport in list(self.turn_ends):
                transport.flush_early()
        return not slow

    def is_behind(self) -> bool:
        """True while calls have not begun, or turns that were cut short have left something to do."""
        return bool(self.unbegun or self.turns) or (self.reactor is not None and self.reactor.is_behind())

    def call_spawned(self) -> None:
        """Counts a task of a call that is going to ask `may_begin`."""
        if not self.unbegun:
            self.round_began_at = 0.0
        self.unbegun += 1

    def may_begin(self) -> bool:
        """Returns True where the task of a call may take its first step. Tasks that are not eager begin
        in the loop's next round, all of them; where their steps have taken long enough, the rest waits for later
        rounds."""
        now = self.now()
        if not self.round_began_at:
            self.round_began_at = now
        if now - self.round_began_at > TURN_SECONDS:
            return False
        self.unbegun -= 1
        return True

    def next_round(self) -> Waiter:
        """Returns a waiter for another round, in which `may_begin` is to be asked again."""
        if not self.waiting_calls:
            self.call_soon(self.begin_round)
        waiter = self.waiter()
        self.waiting_calls.append(waiter)
        return waiter

    def begin_round(self) -> None:
        """Lets calls begin that had to wait, in their order."""
        self.round_began_at = 0.0
        for _ in range(min(len(self.waiting_calls), CALLS_PER_ROUND)):
            self.wake(self.waiting_calls.popleft())
        if self.waiting_calls:
            self.call_soon(self.begin_round)

    def call_over(self, call: Call, error: BaseException | None) -> None:
        """Forgets a call of `spawn` that is about to end; `error` is what it raised."""

    def cancel(self, call: Call) -> None:
        """Cancels an application call that `spawn` started; does nothing to one that has ended."""
        raise NotImplementedError

    def waiter(self) -> Waiter:
        """An awaitable that `wake` ends once; one task may await it."""
        raise NotImplementedError

    def wake(self, waiter: Any) -> None:
        """Ends a waiter, which is of the loop's own type; does nothing to one that has ended."""
        raise NotImplementedError
