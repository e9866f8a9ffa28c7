/* HTTP/1.1: the byte work of the codec. The contract stands in http1.h. */

#include "http1.h"

#include <string.h>

#include "http1_authority.h"
#include "http1_chunks.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define H1_SSE2 1
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define H1_NEON 1
#endif

#define BLANK(c) ((c) == ' ' || (c) == '\t')

static inline int control(uint8_t c) { return (c < 0x20 && c != '\t') || c == 0x7f; }

#if defined(H1_SSE2)
/* A bit for each of 16 bytes that is a control character. */
static inline unsigned controls16(const uint8_t *p)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    const __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}
#elif defined(H1_NEON)
static inline unsigned controls16(const uint8_t *p)
{
    const uint8x16_t x = vld1q_u8(p);
    const uint8x16_t low = vbicq_u8(vcltq_u8(x, vdupq_n_u8(0x20)), vceqq_u8(x, vdupq_n_u8('\t')));
    return vmaxvq_u8(vorrq_u8(low, vceqq_u8(x, vdupq_n_u8(0x7f))));
}
#endif

size_t h1_find_control(const uint8_t *p, size_t n)
{
    size_t i = 0;
#if defined(H1_SSE2) || defined(H1_NEON)
    while (n - i >= 16 && !controls16(p + i))
        i += 16;
#endif
    while (i < n && !control(p[i]))
        i++;
    return i;
}

size_t h1_token(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && TOKEN[p[i]])
        i++;
    return i;
}

void h1_lower(uint8_t *to, const uint8_t *p, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++)
        to[i] = lower(p[i]);
}

int h1_same_word(const uint8_t *p, size_t n, const char *word, size_t length)
{
    size_t i;
    if (n != length)
        return 0;
    for (i = 0; i < n; i++)
        if (lower(p[i]) != (uint8_t)word[i])
            return 0;
    return 1;
}

size_t h1_field_name(const uint8_t *p, size_t n, int *known)
{
    uint8_t low[H1_NAME_MAX];
    size_t i = 0, top = n < H1_NAME_MAX ? n : H1_NAME_MAX;
    int k;

    *known = -1;
    while (i < top && (low[i] = TOKEN[p[i]]) != 0)
        i++;
    if (i == H1_NAME_MAX)
        return i + h1_token(p + i, n - i);
    if (i == 0 || i > LONGEST_NAME)
        return i;
    for (k = BY_LENGTH[i]; k < BY_LENGTH[i + 1]; k++)
        if (low[0] == (uint8_t)h1_names[k][0] && memcmp(low, h1_names[k], i) == 0) {
            *known = k;
            break;
        }
    return i;
}

size_t h1_trim(const uint8_t **p, size_t n)
{
    while (n > 0 && BLANK((*p)[n - 1]))
        n--;
    while (n > 0 && BLANK((*p)[0])) {
        (*p)++;
        n--;
    }
    return n;
}

/* --- the request line ------------------------------------------------------------------------------------------- */

int h1_method(const uint8_t *p, size_t n)
{
    const size_t i = h1_token(p, n > H1_METHOD_MAX + 1 ? H1_METHOD_MAX + 1 : n);
    if (i > H1_METHOD_MAX)
        return -1;
    if (i == n)
        return 0;
    return i > 0 && p[i] == ' ' ? (int)i : -1;
}

int h1_known_method(const uint8_t *p, size_t n)
{
    size_t k;
    for (k = 0; k < h1_methods_count; k++)
        if (p[0] == (uint8_t)h1_methods[k][0] && strlen(h1_methods[k]) == n && memcmp(p, h1_methods[k], n) == 0)
            return (int)k;
    return -1;
}

/* Splits path and query of p[from:to]; an h1_error for what is not printable ASCII, and for fragments. */
static int path_and_query(const uint8_t *p, size_t from, size_t to, struct h1_request_line *out)
{
    size_t i;
    out->path = from;
    for (i = from; i < to && p[i] != '?'; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7f || p[i] == '#')
            return H1_E_TARGET;
        out->escaped |= p[i] == '%';
    }
    out->path_length = i - from;
    out->query = i < to ? i + 1 : to;
    out->query_length = to - out->query;
    for (; i < to; i++)
        if (p[i] <= 0x20 || p[i] >= 0x7f || p[i] == '#')
            return H1_E_TARGET;
    return H1_OK;
}

static int absolute_form(const uint8_t *p, size_t from, size_t to, struct h1_request_line *out)
{
    size_t i = from, end;
    int error;

    if (from == to || !IS(p[i], ALPHA))
        return H1_E_TARGET;
    while (i < to && (IS(p[i], ALPHA | DIGIT) || p[i] == '+' || p[i] == '-' || p[i] == '.'))
        i++;
    if (to - i < 3 || memcmp(p + i, "://", 3) != 0)
        return H1_E_TARGET;
    out->https = h1_same_word(p + from, i - from, "https", 5);
    if (!out->https && !h1_same_word(p + from, i - from, "http", 4))
        return H1_E_SCHEME;
    i += 3;
    for (end = i; end < to && p[end] != '/' && p[end] != '?' && p[end] != '#'; end++)
        ;
    if (end == i || !valid_authority(p + i, end - i))
        return H1_E_TARGET;
    out->authority = i;
    out->authority_length = end - i;
    error = path_and_query(p, end, to, out);
    return error;
}

static int connect_form(const uint8_t *p, size_t n)
{
    return n > 0 && valid_authority(p, n) && IS(p[n - 1], DIGIT) && memchr(p, ':', n) ? H1_E_CONNECT : H1_E_TARGET;
}

int h1_request_line(const uint8_t *p, size_t n, size_t method, struct h1_request_line *out)
{
    const size_t from = method + 1;
    size_t to = from;
    const uint8_t *v;

    memset(out, 0, sizeof *out);
    while (to < n && p[to] != ' ')
        to++;
    if (to == n || to == from)
        return H1_E_REQUEST_LINE;
    out->target = from;
    out->target_length = to - from;
    v = p + to + 1;
    if (n - to - 1 != 8 || memcmp(v, "HTTP/", 5) != 0 || !IS(v[5], DIGIT) || v[6] != '.' || !IS(v[7], DIGIT))
        return H1_E_REQUEST_LINE;
    if (v[5] != '1')
        return H1_E_VERSION;
    out->minor = v[7] != '0'; /* a later minor version is read as 1.1 (RFC 9110 section 2.5) */
    if (method == 7 && memcmp(p, "CONNECT", 7) == 0)
        return connect_form(p + from, to - from);
    if (p[from] == '/')
        return path_and_query(p, from, to, out);
    if (p[from] == '*') {
        out->path = from;
        out->path_length = 1;
        out->query = to;
        return to - from == 1 && method == 7 && memcmp(p, "OPTIONS", 7) == 0 ? H1_OK : H1_E_TARGET;
    }
    return absolute_form(p, from, to, out);
}

static inline int hex(uint8_t c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

size_t h1_unquote(uint8_t *to, const uint8_t *p, size_t n)
{
    size_t i = 0, made = 0;
    while (i < n) {
        if (p[i] == '%' && n - i > 2 && IS(p[i + 1], HEX) && IS(p[i + 2], HEX)) {
            to[made++] = (uint8_t)(hex(p[i + 1]) << 4 | hex(p[i + 2]));
            i += 3;
        } else
            to[made++] = p[i++];
    }
    return made;
}

int h1_valid_authority(const uint8_t *p, size_t n) { return valid_authority(p, n); }

int h1_same_authority(const uint8_t *a, size_t an, const uint8_t *b, size_t bn, int https)
{
    return same_authority(a, an, b, bn, https);
}

/* --- fields that decide ----------------------------------------------------------------------------------------- */

int64_t h1_decimal(const uint8_t *p, size_t n)
{
    int64_t value = 0;
    size_t i;
    if (n == 0)
        return -1;
    for (i = 0; i < n; i++) {
        if (!IS(p[i], DIGIT) || value > (INT64_MAX - (p[i] - '0')) / 10)
            return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

int h1_content_length(const uint8_t *p, size_t n, int64_t *value)
{
    size_t i;
    for (i = 0; i < n; i++)
        if (!IS(p[i], DIGIT))
            return H1_E_LENGTH;
    if (n == 0)
        return H1_E_LENGTH;
    *value = h1_decimal(p, n);
    if (*value < 0)
        return H1_E_LENGTH_LARGE;
    return n > 19 ? H1_E_LENGTH_DIGITS : H1_OK;
}

/* The next element of a comma-separated list, trimmed; moves *i past it and its comma. */
static size_t element(const uint8_t *p, size_t n, size_t *i, const uint8_t **at)
{
    const size_t from = *i;
    while (*i < n && p[*i] != ',')
        (*i)++;
    *at = p + from;
    return h1_trim(at, (*i)++ - from);
}

int h1_connection(const uint8_t *p, size_t n)
{
    const uint8_t *at;
    size_t i = 0, length;
    int found = 0;
    while (i < n) {
        length = element(p, n, &i, &at);
        if (h1_same_word(at, length, "close", 5))
            found |= H1_CLOSE;
        else if (h1_same_word(at, length, "keep-alive", 10))
            found |= H1_KEEP_ALIVE;
        else if (h1_same_word(at, length, "upgrade", 7))
            found |= H1_UPGRADE;
    }
    return found;
}

void h1_coding(struct h1_codings *c, const uint8_t *p, size_t n)
{
    const uint8_t *at;
    size_t i = 0, length;
    int found = 0;
    c->lines = 1;
    do {
        length = element(p, n, &i, &at);
        if (length == 0)
            continue; /* RFC 9110 section 5.6.1.2 */
        found = 1;
        c->bad |= h1_token(at, length) != length;
        c->bad |= c->chunked; /* chunked is not the last one */
        c->tokens = c->tokens > 1 ? 2 : c->tokens + 1;
        c->chunked = h1_same_word(at, length, "chunked", 7);
        c->known_last = h1_same_word(at, length, "gzip", 4) || h1_same_word(at, length, "x-gzip", 6) ||
                        h1_same_word(at, length, "deflate", 7) || h1_same_word(at, length, "compress", 8) ||
                        h1_same_word(at, length, "x-compress", 10);
    } while (i <= n);
    c->bad |= !found;
}

int h1_coding_verdict(const struct h1_codings *c)
{
    if (c->bad || c->known_last)
        return H1_E_CODING;
    return c->chunked && c->tokens == 1 ? H1_OK : H1_E_CODING_UNKNOWN;
}

int h1_check_field(struct h1_field *f)
{
    f->name_length = h1_trim(&f->name, f->name_length);
    f->value_length = h1_trim(&f->value, f->value_length);
    f->kind = H1_K_OTHER;
    if (f->name_length > 0 && f->name[0] == ':')
        return H1_W_PSEUDO;
    if (f->name_length == 0 || h1_token(f->name, f->name_length) != f->name_length)
        return H1_W_NAME;
    if (h1_find_control(f->value, f->value_length) != f->value_length)
        return H1_W_VALUE;
    if (h1_same_word(f->name, f->name_length, "date", 4))
        f->kind = H1_K_DATE;
    else if (h1_same_word(f->name, f->name_length, "server", 6))
        f->kind = H1_K_SERVER;
    else if (h1_same_word(f->name, f->name_length, "content-length", 14))
        f->kind = H1_K_LENGTH;
    else if (h1_same_word(f->name, f->name_length, "transfer-encoding", 17))
        f->kind = H1_K_CODING;
    else if (h1_same_word(f->name, f->name_length, "connection", 10))
        f->kind = H1_K_CONNECTION;
    return 0;
}

size_t h1_write_field(uint8_t *to, const struct h1_field *f)
{
    memcpy(to, f->name, f->name_length);
    to += f->name_length;
    *to++ = ':';
    *to++ = ' ';
    memcpy(to, f->value, f->value_length);
    to += f->value_length;
    *to++ = '\r';
    *to = '\n';
    return f->name_length + f->value_length + 4;
}

uint64_t h1_hash(const uint8_t *p, size_t n)
{
    /* Two lanes, so that one multiplication need not wait for the other. */
    uint64_t a = 0x9E3779B97F4A7C15u ^ n, b = 0xC2B2AE3D27D4EB4Fu, x, y;
    for (; n >= 16; p += 16, n -= 16) {
        memcpy(&x, p, 8);
        memcpy(&y, p + 8, 8);
        a = (a ^ x) * 0x9FB21C651E98DF25u;
        b = (b ^ y) * 0xD6E8FEB86659FD93u;
        a ^= a >> 32;
        b ^= b >> 32;
    }
    x = y = 0;
    memcpy(&x, p, n < 8 ? n : 8);
    if (n > 8)
        memcpy(&y, p + 8, n - 8);
    a = (a ^ x) * 0x9FB21C651E98DF25u;
    b = (b ^ y) * 0xD6E8FEB86659FD93u;
    a ^= (b ^ b >> 32) * 0x9E3779B97F4A7C15u;
    return (a ^ a >> 32) | 1;
}
