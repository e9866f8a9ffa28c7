/* HPACK: the byte work of the codec. The contract stands in hpack.h. */

#include "hpack.h"

#include "hpack_tables.h"
#include "http1.h"

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
