/* Host and port of a target or a Host field (RFC 3986 section 3.2, RFC 9110 section 7.2); a part of http1.c.
 *
 * Only names, IPv4 and IPv6 literals: no userinfo, no IPvFuture. Ports are at most five digits.
 */
#ifndef HYPERCORN_HTTP1_AUTHORITY_H
#define HYPERCORN_HTTP1_AUTHORITY_H

#include "http1_tables.h"

#define IS(c, kind) (KIND[c] & (kind))

static inline uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c; }

static int valid_v4(const uint8_t *p, size_t n)
{
    size_t i = 0, start;
    int part, value;
    for (part = 0; part < 4; part++) {
        if (part && (i == n || p[i++] != '.'))
            return 0;
        for (start = i, value = 0; i < n && i - start < 3 && IS(p[i], DIGIT); i++)
            value = value * 10 + (p[i] - '0');
        if (i == start || value > 255 || (i - start > 1 && p[start] == '0'))
            return 0;
    }
    return i == n;
}

static int valid_v6(const uint8_t *p, size_t n)
{
    size_t i = 0, run;
    int groups = 0, gap = 0;
    if (n >= 2 && p[0] == ':' && p[1] == ':') {
        gap = 1;
        i = 2;
    }
    while (i < n) {
        for (run = i; run < n && run - i < 5 && IS(p[run], HEX); run++)
            ;
        if (run < n && p[run] == '.')
            return valid_v4(p + i, n - i) && (gap ? groups <= 5 : groups == 6);
        if (run == i || run - i > 4)
            return 0;
        groups++;
        i = run;
        if (i == n)
            break;
        if (p[i++] != ':' || i == n)
            return 0;
        if (p[i] == ':') {
            if (gap++)
                return 0;
            i++;
        }
    }
    return gap ? groups <= 7 : groups == 8;
}

/* Length of the host part, or n + 1 when host or port is malformed. *port is -1 when there is none. */
static size_t split_authority(const uint8_t *p, size_t n, int *port)
{
    size_t i = 0, host;
    int value = 0;

    *port = -1;
    if (n > 0 && p[0] == '[') {
        while (i < n && p[i] != ']')
            i++;
        if (i == n || !valid_v6(p + 1, i - 1))
            return n + 1;
        i++;
    } else
        for (;;) {
            if (i < n && IS(p[i], HOST_CHAR))
                i++;
            else if (n - i > 2 && p[i] == '%' && IS(p[i + 1], HEX) && IS(p[i + 2], HEX))
                i += 3;
            else
                break;
        }
    host = i;
    if (i == n)
        return host;
    if (host == 0 || p[i] != ':' || n - i > 6)
        return n + 1;
    for (i++; i < n; i++) {
        if (!IS(p[i], DIGIT))
            return n + 1;
        value = value * 10 + (p[i] - '0');
    }
    if (value > 65535)
        return n + 1;
    if (p[n - 1] != ':')
        *port = value;
    return host;
}

static int valid_authority(const uint8_t *p, size_t n)
{
    int port;
    return split_authority(p, n, &port) <= n;
}

static int same_authority(const uint8_t *a, size_t an, const uint8_t *b, size_t bn, int https)
{
    int ap, bp;
    const size_t ah = split_authority(a, an, &ap), bh = split_authority(b, bn, &bp);
    size_t i;
    if (ah > an || bh > bn || ah != bh)
        return 0;
    for (i = 0; i < ah; i++)
        if (lower(a[i]) != lower(b[i]))
            return 0;
    return (ap < 0 ? (https ? 443 : 80) : ap) == (bp < 0 ? (https ? 443 : 80) : bp);
}

#endif
