"""The head of a request: what the floors above read of it, whatever the HTTP version, and its lines in HTTP/1.1."""

from __future__ import annotations

__all__ = ("HeadLines", "RequestHead")


class RequestHead:
    """A request's method, target and fields.

    method, http_version ("1.0", "1.1", "2"): text. raw_target: the target as it came; raw_path and query_string:
    its parts; path: percent-decoded once, malformed UTF-8 as U+FFFD
    host: Host, or what took its place; headers: pairs (name, value), names in lower case unless asked otherwise
    content_length: bytes, -1 where unknown, 0 without a body; chunked: the body's length is unknown
    complete: nothing follows the head, or all of it was received
    expect_continue: the client waits for 100 (Continue); upgrade: the protocol it would switch to
    may_push: the client takes responses that it did not ask for
    """

    __slots__ = (
        "chunked",
        "complete",
        "content_length",
        "expect_continue",
        "headers",
        "host",
        "http_version",
        "may_push",
        "method",
        "path",
        "query_string",
        "raw_path",
        "raw_target",
        "upgrade",
    )

    def __init__(self) -> None:
        self.method = self.path = ""
        self.http_version = "1.1"
        self.raw_target = self.raw_path = self.query_string = self.upgrade = self.host = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.content_length = 0
        self.chunked = self.complete = self.expect_continue = self.may_push = False


class HeadLines(RequestHead):
    """What the lines of an HTTP/1.1 head have said so far: `http1_primitives` notes it, and the parser judges it.

    end: position behind what was read last; scanned: bytes of an incomplete line that hold no control character
    method_length: bytes of the method, 0 while it is unknown; minor: of HTTP/1.minor
    authority, https: of an absolute-form, else None and False
    fields: pairs (name, value) of the section that is being read; value: of the last one
    section_size, count: bytes and lines of that section
    hosts, lengths, upgrades: lines named Host, Content-Length, Upgrade; options: of Connection, or-ed together
    expectation: value of Expect, lower-cased; codings: values of Transfer-Encoding, None without
    """

    __slots__ = (
        "authority",
        "codings",
        "count",
        "end",
        "expectation",
        "fields",
        "hosts",
        "https",
        "lengths",
        "method_length",
        "minor",
        "options",
        "scanned",
        "section_size",
        "upgrades",
        "value",
    )

    def __init__(self) -> None:
        super().__init__()
        self.end = self.scanned = 0
        self.value = b""
        self.begin_lines()

    def begin_lines(self) -> None:
        """Forgets the last head."""
        self.method = ""
        self.raw_target = self.host = self.upgrade = self.expectation = b""
        self.https = False
        self.authority: bytes | None = None
        self.codings: list[bytes] | None = None
        self.method_length = self.minor = self.hosts = self.lengths = self.upgrades = self.options = 0
        self.content_length = 0
        self.begin_section()

    def begin_section(self) -> None:
        """Makes ready for the field lines of a head or of trailers."""
        self.fields: list[tuple[bytes, bytes]] = []
        self.section_size = self.count = 0
