"""The head of a request, whatever the HTTP version: what the floors above read of it."""

from __future__ import annotations


class RequestHead:
    """A request's method, target and fields.

    method, http_version ("1.0", "1.1", "2"): text. raw_target: the target as it came; raw_path and query_string:
    its parts; path: percent-decoded once, malformed UTF-8 as U+FFFD
    host: Host, or what took its place; headers: pairs (name, value), names in lower case unless asked otherwise
    content_length: bytes, -1 where unknown, 0 without a body; chunked: the body's length is unknown
    complete: nothing follows the head, or all of it was received
    expect_continue: the client waits for 100 (Continue); upgrade: the protocol it would switch to
    may_push: the client takes responses that it did not ask for
    known_target: method, raw_path, query_string and path are objects that another request's head had before
    """

    __slots__ = (
        "chunked",
        "complete",
        "content_length",
        "expect_continue",
        "headers",
        "host",
        "http_version",
        "known_target",
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
        self.chunked = self.complete = self.expect_continue = self.may_push = self.known_target = False
