"""An access record as one line of JSON, and the named formats of records in text."""

from __future__ import annotations

import json.encoder
from collections.abc import Iterable
from time import gmtime, strftime, time
from typing import Any

Headers = Iterable[tuple[bytes, bytes]]
# As nginx writes them: the address alone, the path with its query.
NAMED = {
    "common": '%(h)s - %(u)s %(t)s "%(R)s" %(s)s %(B)s',
    "combined": '%(h)s - %(u)s %(t)s "%(R)s" %(s)s %(B)s "%(f)s" "%(a)s"',
}
JSON = "json"
_quote: Any = json.encoder.encode_basestring_ascii
_second = 0
_stamp = ""


def json_line(scope: dict[str, Any], status: Any, response_headers: Headers, sent: int, duration: float) -> str:
    """The record of one request; a `status` of None is one that was never sent, `duration` is seconds."""
    global _second, _stamp
    now = time()
    second = int(now)
    if second != _second:
        _stamp = strftime("%Y-%m-%dT%H:%M:%S", gmtime(second))
        _second = second
    quote = _quote
    host = agent = referer = request_id = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value
        elif name == b"user-agent":
            agent = value
        elif name == b"referer":
            referer = value
        elif name == b"x-request-id":
            request_id = value
    if request_id is None:
        for name, value in response_headers:
            if name == b"x-request-id":
                request_id = value
    client = scope["client"]
    query = scope["query_string"]
    return (
        f'{{"time":"{_stamp}.{int((now - second) * 1000):03d}Z"'
        f',"client":{"null" if client is None else quote(client[0])}'
        f',"method":{quote(scope.get("method", "GET"))}'
        f',"scheme":"{scope["scheme"]}"'
        f',"host":{"null" if host is None else quote(host.decode("latin-1"))}'
        f',"path":{quote(scope["raw_path"].decode("latin-1"))}'
        f',"query":{quote(query.decode("latin-1")) if query else _EMPTY}'
        f',"protocol":"HTTP/{scope["http_version"]}"'
        f',"status":{"null" if status is None else status}'
        f',"bytes":{sent}'
        f',"duration":{duration:.6f}'
        f',"referer":{"null" if referer is None else quote(referer.decode("latin-1"))}'
        f',"user_agent":{"null" if agent is None else quote(agent.decode("latin-1"))}'
        f',"request_id":{"null" if request_id is None else quote(request_id.decode("latin-1"))}}}'
    )


_EMPTY = '""'
