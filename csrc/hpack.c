/* HPACK: the byte work of the codec. The contract stands in hpack.h. */

#include "hpack.h"

#include "hpack_tables.h"
#include "http1.h"

size_t hpack_integer(const uint8_t *p, size_t n, int prefix, uint32_t *value)
{
    const uint32_t top = (1u << prefix) - 1;
    uint32_t sum;
    size_t i;

    if (n == 0)
        return 0;
    sum = p[0] & top;
    if (sum < top) {
        *value = sum;
        return 1;
    }
    for (i = 1; i < n && i <= HPACK_INT_OCTETS; i++) {
        sum += (uint32_t)(p[i] & 0x7f) << (7 * (i - 1));
        if (!(p[i] & 0x80)) {
            *value = sum;
            return i + 1;
        }
    }
    return 0;
}

size_t hpack_huffman(uint8_t *to, const uint8_t *p, size_t n)
{
    const struct huffman_step *step;
    uint8_t *out = to;
    unsigned state = 0, flags = HUFFMAN_ENDS;
    size_t i;

    for (i = 0; i < n; i++) {
        step = &HUFFMAN[state][p[i] >> 4];
        if (step->flags & HUFFMAN_FAILS)
            return HPACK_BAD;
        if (step->flags & HUFFMAN_EMITS)
            *out++ = step->symbol;
        step = &HUFFMAN[step->next][p[i] & 15];
        if (step->flags & HUFFMAN_FAILS)
            return HPACK_BAD;
        if (step->flags & HUFFMAN_EMITS)
            *out++ = step->symbol;
        state = step->next;
        flags = step->flags;
    }
    return flags & HUFFMAN_ENDS ? (size_t)(out - to) : HPACK_BAD;
}

/* A string literal (RFC 7541 section 5.2): octets used, or 0. */
static size_t string(const uint8_t *p, size_t n, const uint8_t **at, size_t *length, int *coded)
{
    uint32_t size;
    const size_t used = hpack_integer(p, n, 7, &size);

    if (used == 0 || size > n - used)
        return 0;
    *coded = p[0] >> 7;
    *at = p + used;
    *length = size;
    return used + size;
}

size_t hpack_next(const uint8_t *p, size_t n, struct hpack_item *item)
{
    size_t used, more;
    int prefix;

    item->name_length = 0;
    item->kind = HPACK_MALFORMED;
    if (p[0] & 0x80) {
        used = hpack_integer(p, n, 7, &item->index);
        if (used)
            item->kind = HPACK_INDEXED;
        return used;
    }
    if ((p[0] & 0xe0) == 0x20) {
        used = hpack_integer(p, n, 5, &item->index);
        if (used)
            item->kind = HPACK_RESIZE;
        return used;
    }
    prefix = p[0] & 0x40 ? 6 : 4;
    used = hpack_integer(p, n, prefix, &item->index);
    if (used == 0)
        return 0;
    if (item->index == 0) {
        more = string(p + used, n - used, &item->name, &item->name_length, &item->name_coded);
        if (more == 0)
            return 0;
        used += more;
    }
    more = string(p + used, n - used, &item->value, &item->value_length, &item->value_coded);
    if (more == 0)
        return 0;
    item->kind = p[0] & 0x40 ? HPACK_INDEXING : HPACK_LITERAL;
    return used + more;
}

int hpack_valid_name(const uint8_t *p, size_t n)
{
    size_t i;
    if (n > 0 && p[0] == ':') {
        p++;
        n--;
    }
    if (n == 0 || h1_token(p, n) != n)
        return 0;
    for (i = 0; i < n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            return 0;
    return 1;
}

int hpack_valid_value(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 1;
    if (p[0] == ' ' || p[0] == '\t' || p[n - 1] == ' ' || p[n - 1] == '\t')
        return 0;
    return h1_find_control(p, n) == n;
}
