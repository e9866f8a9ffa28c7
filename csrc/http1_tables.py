"""Writes csrc/http1_tables.h: the character classes of http1.c, and the field names and methods that it knows.

python csrc/http1_tables.py > csrc/http1_tables.h
"""

from __future__ import annotations

import string
import textwrap

TOKEN = string.digits + string.ascii_letters + "!#$%&'*+-.^_`|~"  # RFC 9110 section 5.6.2
HOST_CHAR, HEX, DIGIT, ALPHA = 1, 2, 4, 8
KINDS = {
    # unreserved and sub-delims but the comma, which would let one field name two hosts (RFC 3986 section 2)
    HOST_CHAR: string.digits + string.ascii_letters + "-._~" + "!$&'()*+;=",
    HEX: string.hexdigits,
    DIGIT: string.digits,
    ALPHA: string.ascii_letters,
}
# What browsers, proxies and API clients send.
NAMES = """
    te dnt ect rtt via date from host link range width accept cf-ray cookie digest expect origin pragma baggage
    purpose referer sec-gpc trailer upgrade warning cdn-loop downlink if-match if-range priority forwarded
    save-data sec-ch-ua x-api-key x-real-ip cf-visitor connection early-data keep-alive tracestate user-agent
    content-md5 sec-purpose traceparent want-digest x-b3-spanid x-client-ip x-csrftoken cf-ipcountry
    content-type grpc-timeout max-forwards x-auth-token x-b3-sampled x-b3-traceid x-csrf-token x-request-id
    authorization cache-control content-range device-memory if-none-match last-event-id accept-charset
    content-length http2-settings sec-ch-ua-arch sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user
    service-worker true-client-ip viewport-width x-original-url accept-encoding accept-language idempotency-key
    sec-ch-ua-model x-amzn-trace-id x-forwarded-for cf-connecting-ip content-encoding content-language
    content-location proxy-connection sec-ch-ua-mobile x-correlation-id x-forwarded-host x-forwarded-port
    x-requested-with if-modified-since sec-websocket-key transfer-encoding x-b3-parentspanid x-forwarded-proto
    x-ssl-client-cert sec-ch-ua-platform x-datadog-trace-id x-forwarded-prefix x-forwarded-scheme
    x-forwarded-server content-disposition if-unmodified-since proxy-authorization x-datadog-parent-id
    sec-websocket-version x-cloud-trace-context sec-websocket-protocol x-http-method-override
    sec-fetch-storage-access sec-websocket-extensions upgrade-insecure-requests sec-ch-ua-platform-version
    sec-ch-ua-full-version-list x-datadog-sampling-priority access-control-request-method
    access-control-request-headers x-envoy-expected-rq-timeout-ms
"""
METHODS = (
    "GET POST PUT HEAD OPTIONS DELETE PATCH TRACE CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH "
    "QUERY PURGE"
)


def array(head: str, values: list[int]) -> str:
    """A C array of octets."""
    rows = [", ".join(map(str, values[at : at + 16])) for at in range(0, len(values), 16)]
    return "\n".join([head + " = {", *(f"    {row}," for row in rows), "};"])


def strings(head: str, values: list[str]) -> str:
    """A C array of strings."""
    text = " ".join(f'"{value}",' for value in values)
    lines = textwrap.wrap(text, 112, break_on_hyphens=False, break_long_words=False)
    return "\n".join([head + " = {", *(f"    {line}" for line in lines), "};"])


def main() -> None:
    names = sorted(NAMES.split(), key=lambda name: (len(name), name))
    assert len(set(names)) == len(names) < 256
    longest = len(names[-1])
    tokens = [ord(chr(octet).lower()) if chr(octet) in TOKEN else 0 for octet in range(256)]
    kinds = [sum(kind for kind, members in KINDS.items() if chr(octet) in members) for octet in range(256)]
    by_length = [sum(len(name) < length for name in names) for length in range(longest + 2)]
    print("/* Made by http1_tables.py: character classes, well-known field names and methods. */")
    print("#ifndef HYPERCORN_HTTP1_TABLES_H\n#define HYPERCORN_HTTP1_TABLES_H\n")
    print('#include "http1.h"\n')
    print("/* Token characters (RFC 9110 section 5.6.2) to their lower case; 0 for all others. */")
    print(array("static const uint8_t TOKEN[256]", tokens) + "\n")
    print(f"enum {{ HOST_CHAR = {HOST_CHAR}, HEX = {HEX}, DIGIT = {DIGIT}, ALPHA = {ALPHA} }};\n")
    print("/* HOST_CHAR: unreserved and sub-delims but the comma, which would let one field name two hosts. */")
    print(array("static const uint8_t KIND[256]", kinds) + "\n")
    print("/* By length, then by alphabet. Made once into bytes objects. */")
    print(strings("const char *const h1_names[]", names))
    print("const size_t h1_names_count = sizeof(h1_names) / sizeof(h1_names[0]);\n")
    print("/* h1_names of length n stand from BY_LENGTH[n] up to BY_LENGTH[n + 1]. */")
    print(f"#define LONGEST_NAME {longest}")
    print(array("static const uint8_t BY_LENGTH[LONGEST_NAME + 2]", by_length) + "\n")
    print(strings("const char *const h1_methods[]", METHODS.split()))
    print("const size_t h1_methods_count = sizeof(h1_methods) / sizeof(h1_methods[0]);\n\n#endif")


main()
