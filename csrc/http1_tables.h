/* Made by http1_tables.py: character classes, well-known field names and methods. */
#ifndef HYPERCORN_HTTP1_TABLES_H
#define HYPERCORN_HTTP1_TABLES_H

#include "http1.h"

/* Token characters (RFC 9110 section 5.6.2) to their lower case; 0 for all others. */
static const uint8_t TOKEN[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 33, 0, 35, 36, 37, 38, 39, 0, 0, 42, 43, 0, 45, 46, 0,
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 0, 0, 0, 0, 0, 0,
    0, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 0, 0, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 0, 124, 0, 126, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

enum { HOST_CHAR = 1, HEX = 2, DIGIT = 4, ALPHA = 8 };

/* HOST_CHAR: unreserved and sub-delims but the comma, which would let one field name two hosts. */
static const uint8_t KIND[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 1, 0, 1, 0, 0,
    0, 11, 11, 11, 11, 11, 11, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 1,
    0, 11, 11, 11, 11, 11, 11, 9, 9, 9, 9, 9, 9, 9, 9, 9,
    9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 1, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};

/* By length, then by alphabet. Made once into bytes objects. */
const char *const h1_names[] = {
    "te", "dnt", "ect", "rtt", "via", "date", "from", "host", "link", "range", "width", "accept", "cf-ray",
    "cookie", "digest", "expect", "origin", "pragma", "baggage", "purpose", "referer", "sec-gpc", "trailer",
    "upgrade", "warning", "cdn-loop", "downlink", "if-match", "if-range", "priority", "forwarded", "save-data",
    "sec-ch-ua", "x-api-key", "x-real-ip", "cf-visitor", "connection", "early-data", "keep-alive", "tracestate",
    "user-agent", "content-md5", "sec-purpose", "traceparent", "want-digest", "x-b3-spanid", "x-client-ip",
    "x-csrftoken", "cf-ipcountry", "content-type", "grpc-timeout", "max-forwards", "x-auth-token", "x-b3-sampled",
    "x-b3-traceid", "x-csrf-token", "x-request-id", "authorization", "cache-control", "content-range",
    "device-memory", "if-none-match", "last-event-id", "accept-charset", "content-length", "http2-settings",
    "sec-ch-ua-arch", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "service-worker",
    "true-client-ip", "viewport-width", "x-original-url", "accept-encoding", "accept-language", "idempotency-key",
    "sec-ch-ua-model", "x-amzn-trace-id", "x-forwarded-for", "cf-connecting-ip", "content-encoding",
    "content-language", "content-location", "proxy-connection", "sec-ch-ua-mobile", "x-correlation-id",
    "x-forwarded-host", "x-forwarded-port", "x-requested-with", "if-modified-since", "sec-websocket-key",
    "transfer-encoding", "x-b3-parentspanid", "x-forwarded-proto", "x-ssl-client-cert", "sec-ch-ua-platform",
    "x-datadog-trace-id", "x-forwarded-prefix", "x-forwarded-scheme", "x-forwarded-server", "content-disposition",
    "if-unmodified-since", "proxy-authorization", "x-datadog-parent-id", "sec-websocket-version",
    "x-cloud-trace-context", "sec-websocket-protocol", "x-http-method-override", "sec-fetch-storage-access",
    "sec-websocket-extensions", "upgrade-insecure-requests", "sec-ch-ua-platform-version",
    "sec-ch-ua-full-version-list", "x-datadog-sampling-priority", "access-control-request-method",
    "access-control-request-headers", "x-envoy-expected-rq-timeout-ms",
};
const size_t h1_names_count = sizeof(h1_names) / sizeof(h1_names[0]);

/* h1_names of length n stand from BY_LENGTH[n] up to BY_LENGTH[n + 1]. */
#define LONGEST_NAME 30
static const uint8_t BY_LENGTH[LONGEST_NAME + 2] = {
    0, 0, 0, 1, 5, 9, 11, 18, 25, 30, 35, 41, 48, 57, 63, 75,
    81, 91, 97, 102, 106, 106, 108, 110, 110, 112, 113, 114, 116, 116, 117, 119,
};

const char *const h1_methods[] = {
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "PROPPATCH",
    "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "QUERY", "PURGE",
};
const size_t h1_methods_count = sizeof(h1_methods) / sizeof(h1_methods[0]);

#endif
