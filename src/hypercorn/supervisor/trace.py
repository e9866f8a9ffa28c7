"""`hypercorn ctl trace`: has the workers record, fetches what they have, and writes it to a file."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import hypercorn
from hypercorn.cli.trace.file import TraceFile
from hypercorn.config.values import Kind, seconds, size
from hypercorn.net.proxies import TrustedProxies
from hypercorn.supervisor.messages import Answers

POLL_SECONDS = 0.2  # seconds between two fetches
LONGEST_SECONDS = 3600.0  # seconds of a trace
LAST_FETCHES = 200  # after the end of a trace, of the rest

Ask = Callable[[dict[str, object]], Answers]


class TraceRefused(Exception):
    """A trace that cannot be: what is wrong, and what to write instead."""


def value_of(option: str, text: str, kind: Kind) -> float:
    """The value of an option. Raises TraceRefused."""
    try:
        return float(kind.read(text))
    except (ValueError, TypeError):
        raise TraceRefused(f"{option} {text}: expected {kind.expected}") from None


class Recording:
    """One trace, from its start to the file's end. Raises TraceRefused for options that make none."""

    def __init__(
        self, clients: list[str] | None, duration: str, output: str | None, max_size: str, secrets: bool
    ) -> None:
        if not clients:
            raise TraceRefused("name whom to trace: --client 192.0.2.7, --client 192.0.2.0/24, or --client '*' for all")
        if output is None:
            raise TraceRefused("name a new file: --output trace.jsonl")
        try:
            TrustedProxies(clients)
        except ValueError as error:
            raise TraceRefused(f"--client: {error}; expected an address, a network, unix or *") from None
        self.clients = clients
        self.seconds = value_of("--for", duration, seconds(positive=True))
        if self.seconds > LONGEST_SECONDS:
            raise TraceRefused(f"--for {duration}: a trace takes an hour at most")
        self.output = output
        self.max_size = int(value_of("--max-size", max_size, size()))
        self.secrets = secrets
        self.events = 0
        self.interrupted = False

    def run(self, ask: Ask) -> str:
        """Records. Returns why it ended. Ctrl-C ends it, too."""
        head: dict[str, object] = {"started": time.time(), "clients": self.clients, "seconds": self.seconds}
        try:
            file = TraceFile(self.output, {**head, "version": hypercorn.__version__}, self.max_size, self.secrets)
        except FileExistsError:
            raise TraceRefused(f"{self.output} exists: name a new file") from None
        except OSError as error:
            raise TraceRefused(f"{self.output} cannot be written: {error.strerror}") from None
        reason = "nothing was recorded"
        try:
            self.start(ask)
            reason = self.follow(ask, file)
        finally:
            file.close(reason)
            self.events = file.events
        return reason

    def start(self, ask: Ask) -> None:
        """Has all workers record."""
        answers = ask({"do": "trace", "clients": self.clients, "seconds": self.seconds})
        refused = [one["refused"] for answer in answers for one in answer.get("value", []) if one["refused"]]
        if refused:
            raise TraceRefused(f"{refused[0]}; wait until it has ended")

    def follow(self, ask: Ask, file: TraceFile) -> str:
        """Fetches until the time is over, the file full, or the worker has ended the trace."""
        until = time.monotonic() + self.seconds
        reason = "the time is over"
        # An exception in the middle of a fetch would lose what the workers have given already.
        before = signal.signal(signal.SIGINT, self.interrupt)
        try:
            while time.monotonic() < until:
                ended = self.fetch(ask({"do": "trace-fetch"}), file)
                if file.full:
                    reason = "the file has its full size"
                    break
                if ended:
                    reason = f"a worker ended it: {ended}"
                    break
                if self.interrupted:
                    reason = "interrupted"
                    break
                time.sleep(min(POLL_SECONDS, max(0.0, until - time.monotonic())))
            self.fetch_rest(ask, file)
        finally:
            signal.signal(signal.SIGINT, before)
        return reason

    def interrupt(self, *_: object) -> None:
        """Ctrl-C: ends the trace after the fetch that goes on."""
        self.interrupted = True

    def fetch_rest(self, ask: Ask, file: TraceFile) -> None:
        """Ends the trace, and fetches what is left."""
        for _ in range(LAST_FETCHES):
            before = file.events
            self.fetch(ask({"do": "trace-end"}), file)
            if file.events == before or file.full:
                break

    def fetch(self, answers: Answers, file: TraceFile) -> str:
        """Writes what the workers answered. Returns why one of them has ended its trace early, or ""."""
        early = ""
        for answer in answers:
            for fetched in answer.get("value", []):
                for record in fetched["records"]:
                    file.take(answer["pid"], record)
                if fetched["ended"] not in (None, "time", "as asked"):
                    early = fetched["ended"]
        return early
