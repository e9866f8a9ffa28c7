"""Compares whole servers side by side, in interleaved rounds.

    python -m bench.servers --peers DIR                                     everything; takes an hour
    python -m bench.servers --case hello headers --server 'ours-*' uvicorn --peers DIR
    python -m bench.servers --case hello --json run.json --svg run.svg
    python -m bench.servers --from run.json --svg run.svg                   draws an earlier run again

The figure to compare is the CPU time of a request: it holds on a busy machine, where requests a second do not.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import h2load, wrk
from bench.cases import BROWSER, CASES, Case
from bench.catalogue import Server, all_servers, chosen, version
from bench.certificate import self_signed
from bench.chart import draw, draw_png, draw_small, small_costs
from bench.processes import ServerError, end_on_termination, free_port, raise_file_limit
from bench.results import Comparison, Row, Sample, circumstances, table

WARM = 1  # seconds of load before it counts


def ask(case: Case, port: int) -> None:
    """One request by another client. Raises ServerError unless the response is right: wrong ones are fast."""
    if case.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    else:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        body = b"a" * case.post if case.post else None
        client.request("POST" if body else "GET", case.path, body, BROWSER if case.browser else {})
        response = client.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"does not answer: {error or type(error).__name__}") from error
    finally:
        client.close()
    if response.status != 200:
        raise ServerError(f"answers {response.status}")
    if case.answer and len(received) != case.answer:
        raise ServerError(f"answers {len(received)} bytes instead of {case.answer}")


def measure(server: Server, case: Case, seconds: int, certificate: tuple[str, str] | None) -> Sample:
    """One run: a fresh process, a check, a warm-up, the load. Raises ServerError."""
    with server.start(case.app, free_port(), certificate if case.tls else None) as process:
        ask(case, process.port)
        if WARM:
            load_by(case, process.port, WARM)
        before = process.cpu_seconds()
        load = load_by(case, process.port, seconds)
        spent = process.cpu_seconds() - before
        memory = process.memory_kib() / 1024
    return Sample(spent / load.requests * 1e6, load.per_second, load.p50, load.p99, memory, load.errors)


def load_by(case: Case, port: int, seconds: int) -> wrk.Load:
    """Loads a server with the client that speaks the case's protocol. Raises ServerError."""
    return (h2load.run if case.http2 else wrk.run)(case, port, seconds)


def compare(
    names: Sequence[str], servers: Sequence[Server], rounds: int, seconds: int, certificate: tuple[str, str] | None
) -> Comparison:
    """Every case: in each round every server once, each round begins with another one."""
    comparison = Comparison(circumstances(rounds, seconds))
    comparison.about["versions"] = ", ".join(dict.fromkeys(f"{label(s)} {version(s)}" for s in servers))
    everyone = servers
    for name in names:
        servers = [server for server in everyone if server.interface == CASES[name].interface]
        rows = {server.name: Row(server.name, server.label, server.kind) for server in servers}
        for turn in range(rounds):
            shift = turn * len(servers) // rounds
            for server in [*servers[shift:], *servers[:shift]]:
                row = rows[server.name]
                progress(f"{name}, round {turn + 1} of {rounds}: {server.label}")
                try:
                    row.samples.append(measure(server, CASES[name], seconds, certificate))
                except ServerError as error:
                    row.failures.append(str(error))
        comparison.cases[name] = list(rows.values())
        progress("")
        print(table(name, comparison.cases[name]), end="\n\n", flush=True)
    return comparison


def label(server: Server) -> str:
    """The project behind a server."""
    return server.label.partition(" ")[0]


def progress(text: str) -> None:
    """Says on a terminal what is going on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    about, _, more = (__doc__ or "").partition("\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m bench.servers", description=about, epilog=more, formatter_class=form)
    add = parser.add_argument
    add("--case", nargs="+", choices=CASES, metavar="CASE", default=list(CASES), help=f"of {', '.join(CASES)}")
    add("--server", nargs="+", default=[], metavar="NAME", help="shell patterns match; the first wrong one lists all")
    add("--peers", type=Path, metavar="DIR", help="environment of the peers, made by bench.peers")
    add("--rounds", type=int, default=3)
    add("--seconds", type=int, default=3, help="of load in each run")
    add("--json", type=Path, metavar="FILE", help="keep everything that was measured")
    add("--svg", type=Path, metavar="FILE", help="draw it; a PNG beside it where a converter is installed")
    add("--from", type=Path, dest="earlier", metavar="FILE", help="measure nothing, take what an earlier run kept")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds must be 1 or more")
    return options


def run(options: argparse.Namespace) -> Comparison:
    """Measures, as the options say. Raises ServerError."""
    if not all(CASES[case].http2 for case in options.case):
        wrk.find_wrk()
    if any(CASES[case].http2 for case in options.case):
        h2load.find_h2load()
    servers = chosen(all_servers(options.peers), options.server)
    raise_file_limit()
    end_on_termination()
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder)) if any(CASES[case].tls for case in options.case) else None
        return compare(options.case, servers, options.rounds, options.seconds, certificate)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, 1 when a server did not serve, 2 when nothing could be measured."""
    options = parse(arguments)
    begin = time.monotonic()
    try:
        if options.earlier is not None:
            comparison = Comparison.load(options.earlier).select(options.case, options.server)
            for case, rows in comparison.cases.items():
                print(table(case, rows), end="\n\n")
        else:
            comparison = run(options)
    except ServerError as error:
        print(f"bench.servers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench.servers: stopped; all servers have ended", file=sys.stderr)
        return 130
    if options.json is not None:
        comparison.save(options.json)
    if options.svg is not None:
        options.svg.write_text(draw(comparison))
        png = draw_png(options.svg)
        if "hello" in comparison.cases:
            note = "one worker, a response of 14 bytes"
            small = options.svg.with_name("chart.svg")
            small.write_text(draw_small(small_costs(comparison.cases["hello"]), note))
        print(
            f"drawn: {options.svg}" + (f" and {png}" if png else " (no PNG: neither rsvg-convert nor ImageMagick here)")
        )
    if options.earlier is None:
        print(f"{time.monotonic() - begin:.0f} s in all")
    return 1 if any(row.failures for rows in comparison.cases.values() for row in rows if row.kind == "ours") else 0


if __name__ == "__main__":
    sys.exit(main())
