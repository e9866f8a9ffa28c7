"""The command: which protocols are asked, and what of the answers is a problem."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence

from hypercorn.cli.check.asking import (
    HTTP1,
    HTTP2,
    NEEDS_H3,
    WEBSOCKET,
    Settings,
    ask,
    ask_http3,
    reason_of,
)
from hypercorn.cli.check.certificates import client_context, read_certificate
from hypercorn.cli.check.connecting import Resolved, resolve
from hypercorn.cli.check.report import Answer, Report, text_of
from hypercorn.cli.check.target import Target, parse_target
from hypercorn.supervisor.exit_codes import EXIT_INTERRUPTED, EXIT_USAGE

TIMEOUT_SECONDS = 10.0
UNANNOUNCED_SECONDS = 2.0  # that HTTP/3 gets which nothing has announced
FEW_DAYS = 14  # of a certificate's life: worth a note
_ALT_SVC = re.compile(r'(?:^|,)\s*h3="([^"]*):(\d{1,5})"')  # RFC 7838 section 3


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="hypercorn check",
        description="Tells what a client sees of a server: protocols, certificate, response and times.",
        epilog="The exit status is 0 where all is well, 1 for a problem, and 2 for wrong arguments.",
    )
    parser.add_argument("url", metavar="URL", help="of http, https, ws or wss")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"for each request, with its handshakes (default: {TIMEOUT_SECONDS:g})",
    )
    parser.add_argument("--cafile", metavar="FILE", help="authorities to trust in place of the system's, as PEM")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0 and at most 600: {text!r}")
    return value


def check_url(arguments: Sequence[str]) -> int:
    """Runs the command. Returns the exit code; raises SystemExit for wrong arguments, with code 2."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        target = parse_target(options.url)
        client_context(options.cafile, True, "h2")
    except ValueError as error:
        parser.exit(EXIT_USAGE, f"hypercorn check: error: {error}\n")
    except OSError as error:
        parser.exit(EXIT_USAGE, f"hypercorn check: error: --cafile {options.cafile}: {reason_of(error)}\n")
    try:
        report = examine(target, options.timeout, options.cafile)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    try:
        print(json.dumps(report.as_json(), indent=2) if options.json else text_of(report))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
    return 1 if report.problems else 0


def examine(target: Target, timeout: float, cafile: str | None = None) -> Report:
    """Asks a server by each protocol that the URL can mean."""
    report = Report(target.url)
    try:
        resolved = resolve(target, timeout)
    except OSError as error:
        report.problems.append(str(error))
        return report
    report.addresses = [str(one.sockaddr[0]) for one in resolved.addresses]
    verify = _certificate(report, target, resolved, timeout, cafile)
    settings = Settings(timeout, cafile, verify)
    for protocol in (WEBSOCKET,) if target.websocket else (HTTP1, HTTP2):
        report.answers.append(ask(protocol, target, resolved, settings))
    if target.scheme == "https":
        _http3(report, target, settings)
    judge(report, target)
    return report


def _certificate(report: Report, target: Target, resolved: Resolved, timeout: float, cafile: str | None) -> bool:
    """Reads the certificate. Returns False where the requests have to do without its verification."""
    if not target.secure:
        return True
    try:
        report.certificate = found = read_certificate(target, resolved, cafile, timeout)
    except OSError:  # the requests tell what is wrong
        return True
    if not found.verified:
        report.problems.append(f"clients do not trust the certificate: {found.reason}")
    elif found.days_left is not None and found.days_left < FEW_DAYS:
        report.notes.append(f"the certificate ends in {found.days_left} days")
    return found.verified


def announced_http3(answers: Sequence[Answer]) -> tuple[str, int] | None:
    """The host ("" for the same) and port at which Alt-Svc announces HTTP/3 (RFC 7838 section 3)."""
    for answer in answers:
        match = _ALT_SVC.search(answer.header("alt-svc") or "")
        if match is not None and 0 < int(match[2]) < 65536:
            return match[1], int(match[2])
    return None


def _http3(report: Report, target: Target, settings: Settings) -> None:
    """Asks by HTTP/3: where it is announced, or else on the same port."""
    announced = announced_http3(report.answers)
    if announced is None:
        settings = settings._replace(timeout=min(settings.timeout, UNANNOUNCED_SECONDS))
    host, port = announced or ("", target.port)
    answer = ask_http3(target, (host or target.host, port), settings)
    report.answers.append(answer)
    if answer.error == NEEDS_H3:
        report.notes.append("HTTP/3 was not tried: install hypercorn[h3]")
    elif announced is not None and answer.status is None:
        report.problems.append(f"Alt-Svc announces HTTP/3 on port {port}, but {answer.error}")
    elif announced is None and answer.status is not None:
        report.notes.append("HTTP/3 is served, and no Alt-Svc header tells clients so")


def judge(report: Report, target: Target) -> None:
    """Adds problems and notes about the answers."""
    answered = [one for one in report.answers if one.status is not None]
    if not answered:
        first = report.answers[0]
        report.problems.append(f"no response: {first.protocol}: {first.error}")
        return
    for one in answered:
        status = one.status or 0
        if one.error is not None:
            report.problems.append(f"{one.protocol}: the response did not end: {one.error}")
        if one.protocol == WEBSOCKET and status != 101:
            report.problems.append(f"the server refused the WebSocket with status {status}")
        elif status >= 400:
            report.problems.append(f"{one.protocol}: status {status}")
    statuses = {one.status for one in answered}
    if len(statuses) > 1:
        report.problems.append("the protocols have different statuses")
    missing = [one for one in report.answers if one.status is None and one.protocol == HTTP1]
    if missing:
        report.problems.append(f"HTTP/1.1: {missing[0].error}")
    location = answered[0].header("location")
    if location is not None and 300 <= (answered[0].status or 0) < 400:
        report.notes.append(f"redirected to {location}, which was not followed")
    if target.scheme == "https" and answered[0].header("strict-transport-security") is None:
        report.notes.append("no strict-transport-security header: a first visit by http is not kept from it (RFC 6797)")
