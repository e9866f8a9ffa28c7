"""Hours of mixed load, and whether anything grows: memory, descriptors, threads, tasks, objects.

    python -m bench.soak --minutes 20 [--json soak.json] [--svg docs/soak.svg --page docs/soak.md]

Two servers of the command line with two workers each get the same load (`bench.soak_load`: HTTP/1.1, HTTP/2, HTTP/3,
WebSocket, TLS; clients that keep to the rules, and clients that break off). The workers of the first live through all
of it. On the second a worker is killed (SIGKILL) and everything is reloaded (SIGHUP), over and over: what counts there
is the supervisor. Ten times and at the end the load rests, until nothing changes any more; what a process then holds is
compared with what it held at the first rest after the settling phase. The status is 1 where anything has grown beyond
the bounds below, where a polite client of the first server was let down, or where a server logged an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.certificate import self_signed
from bench.curves import Line, Panel, draw
from bench.processes import ROOT, ServerError, end_on_termination, free_port, is_running
from bench.soak_load import Broken, Load
from hypercorn.supervisor.client import ControlError, ask

RESTS, SETTLING = 10, 2  # rests, and how many of them are not compared
FEW_RESTS, LONG = 3, 300.0  # in runs of less than so many seconds
EVERY = 5.0  # seconds between samples
IDLE = 3  # seconds of the servers' idle timeout of QUIC: connections that were left must go before a rest is over
KILL_EVERY, RELOAD_EVERY = 20.0, 45.0  # seconds, at the second server
MEMORY_MIB, MEMORY_SHARE = 2.0, 0.05  # growth that is no finding: arenas of the allocators fill for long
OBJECTS = 500
PANELS = (
    ("Memory, MiB", "memory"),
    ("Descriptors", "descriptors"),
    ("Objects at rest", "objects"),
    ("Tasks at rest", "tasks"),
)
PAGE = """# Soak

`python -m bench.soak` puts a mixed load on two servers with two workers each: HTTP/1.1, HTTP/2, HTTP/3, WebSockets,
over TLS and without, clients that keep to the rules, and clients that break off wherever they are. The workers of the
*steady* server live through all of it. On the *restless* one a worker is killed every 20 seconds of load and all of
them are reloaded every 45: there the supervisor is what is watched. Now and then the load rests until nothing is open
any more; the table compares what each process holds at the third rest with what it holds at the last.
"""


class Sample(NamedTuple):
    """What a process holds. Tasks and objects are known of workers at rest alone."""

    minute: float
    server: str
    role: str  # worker or supervisor
    pid: int
    memory: float  # MiB of its own: anonymous pages
    descriptors: int
    threads: int
    tasks: int | None = None
    objects: int | None = None
    rest: int | None = None  # its number, when the load rested


def look(minute: float, server: str, role: str, pid: int) -> Sample:
    """Asks the kernel. Raises OSError for a process that is gone."""
    memory = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            memory = int(line.split()[1])
    descriptors, threads = len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    return Sample(minute, server, role, pid, memory / 1024, descriptors, threads)


class Soaked:
    """A server under load."""

    def __init__(self, name: str, folder: Path, loop: str, seed: int) -> None:
        self.name, self.control = name, str(folder / f"{name}.sock")
        self.http, self.https = free_port(), free_port()
        certificate, key = self_signed(folder)
        self.log = folder / f"{name}.log"
        command = [sys.executable, "-m", "hypercorn", "--workers", "2", "--worker-class", loop]
        command += ["--bind", f"127.0.0.1:{self.https}", "--insecure-bind", f"127.0.0.1:{self.http}"]
        command += ["--certfile", certificate, "--keyfile", key, "--control", self.control]
        command += ["--quic-idle-timeout", str(IDLE), "--graceful-timeout", "3", "--http3", "bench.soak_load:app"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.load = Load(self.http, self.https, seed)
        self.kills = self.reloads = 0

    def workers(self) -> list[int]:
        """Workers that are ready. Raises ServerError where the server has ended."""
        if self.process.poll() is not None:
            raise ServerError(f"{self.name} has ended: {self.errors()[-3:]}")
        try:
            return sorted(
                one["pid"] for one in ask(self.control, {"do": "status"})["workers"] if one["state"] == "ready"
            )
        except ControlError:
            return []

    async def ready(self) -> list[int]:
        """Waits for both workers. Raises ServerError."""
        for _ in range(600):
            if len(found := await asyncio.to_thread(self.workers)) == 2:
                return found
            await asyncio.sleep(0.1)
        raise ServerError(f"{self.name} has not got two workers: {self.errors()[-3:]}")

    async def counts(self) -> dict[int, tuple[int, int]]:
        """Tasks and objects of each worker, as they tell themselves: fresh connections until both were met."""
        found: dict[int, tuple[int, int]] = {}
        for _ in range(200):
            reader, writer = await self.load.open()
            answer = await self.load.ask(reader, writer, b"GET /count HTTP/1.1")
            writer.close()
            await writer.wait_closed()
            pid, tasks, _, objects = map(int, answer.split())
            found[pid] = (tasks, objects)
            if len(found) == 2:
                break
        return found

    def disturb(self) -> None:
        """Kills a worker."""
        if len(workers := self.workers()) == 2:
            with suppress(ProcessLookupError):
                os.kill(workers[self.kills % 2], signal.SIGKILL)
                self.kills += 1

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)
        self.reloads += 1

    def errors(self) -> list[str]:
        """Lines of its log that tell of trouble; that a worker was killed is none."""
        lines = self.log.read_text(errors="replace").splitlines()
        words = ("Traceback", "[ERROR]", "[CRITICAL]", "Error:", "Exception")
        return [line for line in lines if any(word in line for word in words) and "SIGKILL" not in line]

    def end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        if is_running(self.process.pid):
            self.process.kill()


class Soak:
    """The whole run."""

    def __init__(self, servers: list[Soaked], seconds: float) -> None:
        self.servers, self.seconds = servers, seconds
        self.samples: list[Sample] = []
        self.began = time.monotonic()
        self.rests, self.settling = (RESTS, SETTLING) if seconds >= LONG else (FEW_RESTS, 1)

    def minute(self) -> float:
        return (time.monotonic() - self.began) / 60

    async def run(self) -> None:
        """Load and rests in turn."""
        # aioquic's clients leave futures behind where they broke off
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        for server in self.servers:
            await server.ready()
        self.began = time.monotonic()
        for number in range(self.rests + 1):
            for server in self.servers:
                server.load.start()
            await self.busy(self.began + self.seconds * (number + 1) / (self.rests + 1))
            for server in self.servers:
                await server.load.stop()
            await self.rest(number)

    async def busy(self, until: float) -> None:
        """Samples, and disturbs the second server, until then."""
        restless = self.servers[1]
        kill, reload = time.monotonic() + KILL_EVERY / 2, time.monotonic() + RELOAD_EVERY / 3
        if (until - time.monotonic()) < RELOAD_EVERY / 3:  # a short run
            kill, reload = time.monotonic() + 0.2, time.monotonic() + 0.6
        while (now := time.monotonic()) < until:
            await asyncio.to_thread(self.sample)
            if now >= kill:
                await asyncio.to_thread(restless.disturb)
                kill = now + KILL_EVERY
            if now >= reload:
                restless.reload()
                reload = now + RELOAD_EVERY
            await asyncio.sleep(max(0.0, min(EVERY, kill - now, reload - now, until - now)))

    def sample(self) -> list[Sample]:
        """Looks at all processes."""
        found = []
        for server in self.servers:
            pids = [("supervisor", server.process.pid), *(("worker", pid) for pid in server.workers())]
            for role, pid in pids:
                with suppress(OSError):
                    found.append(look(self.minute(), server.name, role, pid))
        self.samples += found
        return found

    async def rest(self, number: int) -> None:
        """Waits until descriptors no longer change, then counts. Raises ServerError where that takes too long."""
        for server in self.servers:
            await server.ready()
        await asyncio.sleep(IDLE + 1)
        before: list[tuple[int, int]] = []
        for _ in range(30):
            now = [(one.pid, one.descriptors) for one in await asyncio.to_thread(self.sample)]
            if now == before and len(now) == 3 * len(self.servers):
                break
            before = now
            await asyncio.sleep(1)
        else:
            raise ServerError(f"descriptors still change: {now}")
        for server in self.servers:
            told = await server.counts()
            await asyncio.sleep(0.5)  # what was opened to count is closed by then
            for one in [("supervisor", server.process.pid), *(("worker", pid) for pid in sorted(told))]:
                sample = look(self.minute(), server.name, *one)
                tasks, objects = told.get(one[1], (None, None))
                self.samples.append(sample._replace(tasks=tasks, objects=objects, rest=number))


class Growth(NamedTuple):
    """A process at the first rest that counts, and at the last."""

    first: Sample
    last: Sample

    def findings(self) -> list[str]:
        """What has grown beyond the bounds."""
        first, last, found = self.first, self.last, []
        if last.memory > first.memory * (1 + MEMORY_SHARE) + MEMORY_MIB:
            found.append(f"memory {first.memory:.1f} to {last.memory:.1f} MiB")
        for name in ("descriptors", "threads", "tasks"):
            if (getattr(last, name) or 0) > (getattr(first, name) or 0):
                found.append(f"{name} {getattr(first, name)} to {getattr(last, name)}")
        if (last.objects or 0) > (first.objects or 0) + OBJECTS:
            found.append(f"objects {first.objects} to {last.objects}")
        return [f"{last.server}, {last.role} {last.pid}: {text}" for text in found]


def growths(soak: Soak) -> list[Growth]:
    """Of every process that was there at both rests."""
    found = []
    for last in (one for one in soak.samples if one.rest == soak.rests):
        first = [one for one in soak.samples if one.rest == soak.settling and one.pid == last.pid]
        found += [Growth(first[0], last)] if first else []
    return found


def panels(samples: list[Sample]) -> list[Panel]:
    """The curves."""
    lines: dict[str, list[Sample]] = {}
    steady = sorted({one.pid for one in samples if (one.server, one.role) == ("steady", "worker")})
    for one in samples:
        name = f"{one.server}: {one.role}" + (f" {steady.index(one.pid) + 1}" if one.pid in steady else "")
        lines.setdefault(name, []).append(one)
    made = []
    for title, field in PANELS:
        drawn = []
        for name, those in lines.items():
            pieces: dict[int, list[tuple[float, float]]] = {}
            for one in those:
                if (value := getattr(one, field)) is not None:
                    pieces.setdefault(one.pid, []).append((one.minute, value))
            drawn.append(Line(name, [piece for piece in pieces.values() if len(piece) > 1]))
        made.append(Panel(title, [line for line in drawn if line.pieces]))
    return made


def about(soak: Soak, loops: list[str]) -> list[str]:
    """What was run, for people."""
    import hypercorn

    done = {server.name: server.load.answers for server in soak.servers}
    restless = soak.servers[1]
    return [
        f"{soak.seconds / 60:.1f} minutes, {time.strftime('%d %B %Y')}, {hypercorn.build()} build, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores; steady on {loops[0]}, restless on {loops[1]}.",
        f"{done['steady']:,} answers of the steady server, {done['restless']:,} of the restless one, where "
        f"{restless.kills} workers were killed and {restless.reloads} reloads done.",
    ]


def table(soak: Soak, notes: list[str]) -> str:
    """As Markdown: each process at the first rest that counts, and at the last."""
    head = ["| Process | Memory, MiB | Descriptors | Threads | Tasks | Objects |", "|---|---|---|---|---|---|"]
    lines = [*notes, "", *head]
    for first, last in growths(soak):
        cells = [f"{first.memory:.1f} → {last.memory:.1f}"]
        for name in ("descriptors", "threads", "tasks", "objects"):
            one, other = getattr(first, name), getattr(last, name)
            cells.append("-" if other is None else f"{one:,} → {other:,}")
        lines.append(f"| {last.server}: {last.role} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def verdict(soak: Soak) -> list[str]:
    """All findings, none where all is well."""
    found = [text for growth in growths(soak) for text in growth.findings()]
    steady = soak.servers[0]
    if sum(one.last.server == "steady" for one in growths(soak)) != 3:
        found.append("a process of the steady server was replaced")
    found += [f"steady, {count} times: {text}" for text, count in steady.load.failed.items()]
    for server in soak.servers:
        found += [f"{server.name} logged: {line}" for line in server.errors()[:5]]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument(
        "--loops", nargs=2, default=["asyncio", "asyncio"], help="of the steady and the restless server"
    )
    parser.add_argument("--json", type=Path, help="write all samples there")
    parser.add_argument("--svg", type=Path, help="draw the curves there")
    parser.add_argument("--page", type=Path, help="write the page of the documentation there")
    options = parser.parse_args()
    end_on_termination()
    with tempfile.TemporaryDirectory() as folder:
        servers: list[Soaked] = []
        try:
            for seed, (name, loop) in enumerate(zip(("steady", "restless"), options.loops, strict=True)):
                servers.append(Soaked(name, Path(folder), loop, seed))
            soak = Soak(servers, options.minutes * 60)
            try:
                asyncio.run(soak.run())
            except (ServerError, Broken) as error:
                print(error)
                return 1
            notes, found = about(soak, options.loops), verdict(soak)
        finally:
            for server in servers:
                server.end()
    text = table(soak, notes)
    print(text)
    for server in servers:
        print(f"{server.name}: {dict(server.load.done)}, failed: {dict(server.load.failed)}")
    if options.json is not None:
        columns = {"columns": Sample._fields, "samples": soak.samples, "notes": notes, "findings": found}
        options.json.write_text(json.dumps(columns))
    if options.svg is not None:
        options.svg.write_text(draw("Under mixed load", notes, panels(soak.samples), max(soak.minute(), 0.1)))
    if options.page is not None:
        options.page.write_text(f"{PAGE}\n{text}\n![The curves of memory, descriptors, objects and tasks](soak.svg)\n")
    print("\n".join(found) if found else "nothing has grown")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
