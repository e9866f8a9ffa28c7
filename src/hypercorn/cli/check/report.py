"""What `hypercorn check` has found, and how people and programs read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

# Response headers that tell how a server is set up.
WORTH_NOTING = (
    "server",
    "via",
    "date",
    "location",
    "content-type",
    "content-length",
    "content-encoding",
    "cache-control",
    "vary",
    "connection",
    "keep-alive",
    "alt-svc",
    "strict-transport-security",
    "content-security-policy",
    "retry-after",
    "www-authenticate",
)
LONGEST_VALUE = 100  # characters of a header that are shown to people


@dataclass
class Timings:
    """How long each step took, in milliseconds; None for a step that was not taken.

    dns: the resolution of the host's name
    connect: TCP's handshake; with HTTP/3, QUIC's, which includes TLS
    tls: the handshake of TLS
    first_byte: from the request to the response's head
    whole: from the request to the response's end
    """

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    whole: float | None = None


@dataclass
class Answer:
    """What one protocol gave: a status, or `error`. `size` is the body's, in bytes."""

    protocol: str
    status: int | None = None
    error: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0
    timings: Timings = field(default_factory=Timings)
    tls: str | None = None  # the version and the cipher suite

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Certificate:
    """A server's certificate. `reason` says why it was not `verified`; what cannot be read is None."""

    verified: bool
    reason: str | None = None
    subject: str | None = None
    issuer: str | None = None
    names: list[str] = field(default_factory=list)
    not_after: str | None = None  # as ISO 8601, in UTC
    days_left: int | None = None


@dataclass
class Report:
    """All of it. With a problem the exit status is 1; a note is only worth knowing."""

    url: str
    addresses: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    certificate: Certificate | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """The report for programs."""
        return asdict(self)


def text_of(report: Report) -> str:
    """The report for people."""
    lines = [report.url, f"  addresses  {', '.join(report.addresses) or '-'}", ""]
    lines += [f"  {line}" for line in _answer_lines(report.answers)]
    if report.certificate is not None:
        lines += ["", "Certificate", *_certificate_lines(report.certificate)]
    shown = next((one for one in report.answers if one.status is not None), None)
    if shown is not None:
        if shown.tls:
            lines += ["", f"TLS  {shown.tls}"]
        found = [(name, value) for name, value in shown.headers if name in WORTH_NOTING]
        if found:
            lines += ["", f"Headers ({shown.protocol})", *(f"  {name}: {_short(value)}" for name, value in found)]
    for title, entries in (("Notes", report.notes), ("Problems", report.problems)):
        if entries:
            lines += ["", title, *(f"  - {printable(entry)}" for entry in entries)]
    if not report.problems:
        lines += ["", "No problem was found."]
    return "\n".join(lines)


def _answer_lines(answers: list[Answer]) -> list[str]:
    columns = ("PROTOCOL", "STATUS", "DNS", "CONNECT", "TLS", "FIRST BYTE", "WHOLE", "BYTES")
    rows: list[tuple[str, ...]] = [columns]
    for one in answers:
        if one.status is None:
            rows.append((one.protocol, f"-  {printable(one.error or '')}", *[""] * 6))
            continue
        times = one.timings
        shown = [_milliseconds(x) for x in (times.dns, times.connect, times.tls, times.first_byte, times.whole)]
        rows.append((one.protocol, str(one.status), *shown, str(one.size)))
    # What an error says goes over the columns of the figures.
    widths = [max(len(row[number]) for row in rows if row[-1]) for number in range(len(columns))]
    widths[0] = max(len(row[0]) for row in rows)
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _certificate_lines(certificate: Certificate) -> list[str]:
    left = "" if certificate.days_left is None else f" ({certificate.days_left} days left)"
    verdict = "yes" if certificate.verified else f"no: {certificate.reason}"
    rows = (
        ("subject", certificate.subject),
        ("names", ", ".join(certificate.names) or None),
        ("issuer", certificate.issuer),
        ("valid until", None if certificate.not_after is None else certificate.not_after + left),
        ("verified", verdict),
    )
    return [f"  {name:<11}  {'-' if value is None else printable(value)}" for name, value in rows]


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _short(value: str) -> str:
    text = printable(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def printable(text: str) -> str:
    """Text of a server with what could control a terminal escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
