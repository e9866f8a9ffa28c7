/* WebSocket: the byte work of the codec. The contract stands in websocket.h. */

#include "websocket.h"

#include <string.h>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define WS_SSE2 1
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define WS_NEON 1
#endif

int ws_header(const uint8_t *p, size_t n, struct ws_frame *out)
{
    size_t used = 2, i;
    uint64_t length;
    unsigned opcode;
    if (n < 2)
        return 0;
    opcode = p[0] & WS_OPCODE;
    if ((opcode > 2 && opcode < 8) || opcode > 10)
        return -WS_E_OPCODE;
    if (!(p[1] & 0x80))
        return -WS_E_MASK;
    length = p[1] & 0x7f;
    if (opcode >= 8) {
        if (length > 125)
            return -WS_E_CONTROL_LONG;
        if (!(p[0] & WS_FIN))
            return -WS_E_CONTROL_FIN;
    }
    if (length == 126) {
        used = 4;
        if (n < used)
            return 0;
        length = (uint64_t)p[2] << 8 | p[3];
        if (length < 126)
            return -WS_E_LENGTH;
    } else if (length == 127) {
        used = 10;
        if (n < used)
            return 0;
        for (length = 0, i = 2; i < 10; i++)
            length = length << 8 | p[i];
        if (length < 65536 || length >> 63)
            return -WS_E_LENGTH;
    }
    if (n < used + 4)
        return 0;
    out->first = p[0];
    out->length = length;
    memcpy(out->mask, p + used, 4);
    return (int)used + 4;
}

void ws_mask(uint8_t *to, const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset)
{
    uint8_t turned[16];
    uint64_t word, x;
    size_t i;
    for (i = 0; i < 16; i++)
        turned[i] = mask[(offset + i) & 3];
    i = 0;
#if defined(WS_SSE2)
    {
        const __m128i m = _mm_loadu_si128((const __m128i *)(const void *)turned);
        for (; n - i >= 64; i += 64) {
            const __m128i *from = (const __m128i *)(const void *)(p + i);
            __m128i *into = (__m128i *)(void *)(to + i);
            const __m128i a = _mm_loadu_si128(from), b = _mm_loadu_si128(from + 1);
            const __m128i c = _mm_loadu_si128(from + 2), d = _mm_loadu_si128(from + 3);
            _mm_storeu_si128(into, _mm_xor_si128(a, m));
            _mm_storeu_si128(into + 1, _mm_xor_si128(b, m));
            _mm_storeu_si128(into + 2, _mm_xor_si128(c, m));
            _mm_storeu_si128(into + 3, _mm_xor_si128(d, m));
        }
        for (; n - i >= 16; i += 16)
            _mm_storeu_si128((__m128i *)(void *)(to + i),
                             _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)(p + i)), m));
    }
#elif defined(WS_NEON)
    {
        const uint8x16_t m = vld1q_u8(turned);
        for (; n - i >= 16; i += 16)
            vst1q_u8(to + i, veorq_u8(vld1q_u8(p + i), m));
    }
#endif
    memcpy(&word, turned, 8);
    for (; n - i >= 8; i += 8) {
        memcpy(&x, p + i, 8);
        x ^= word;
        memcpy(to + i, &x, 8);
    }
    for (; i < n; i++)
        to[i] = p[i] ^ turned[i & 7];
}

/* Leading bytes below 0x80, in whole blocks. */
static size_t ascii(const uint8_t *p, size_t n)
{
    size_t i = 0;
#if defined(WS_SSE2)
    while (n - i >= 16 && !_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i))))
        i += 16;
#elif defined(WS_NEON)
    while (n - i >= 16 && vmaxvq_u8(vld1q_u8(p + i)) < 0x80)
        i += 16;
#else
    uint64_t x;
    for (; n - i >= 8; i += 8) {
        memcpy(&x, p + i, 8);
        if (x & UINT64_C(0x8080808080808080))
            break;
    }
#endif
    return i;
}

/* What byte c may begin; 0 when it begins nothing. */
static int lead(struct ws_utf8 *state, uint8_t c)
{
    state->low = 0x80;
    state->high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        state->need = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        state->need = 2;
        if (c == 0xe0)
            state->low = 0xa0; /* shorter forms exist */
        else if (c == 0xed)
            state->high = 0x9f; /* surrogates */
    } else if (c >= 0xf0 && c <= 0xf4) {
        state->need = 3;
        if (c == 0xf0)
            state->low = 0x90;
        else if (c == 0xf4)
            state->high = 0x8f; /* above U+10FFFF */
    } else {
        return 0;
    }
    return 1;
}

int ws_utf8(struct ws_utf8 *state, const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        const uint8_t c = p[i];
        if (state->need) {
            if (c < state->low || c > state->high)
                return 0;
            state->need--;
            state->low = 0x80;
            state->high = 0xbf;
        } else if (c < 0x80) {
            const size_t run = ascii(p + i, n - i);
            if (run) {
                i += run;
                continue;
            }
        } else if (!lead(state, c)) {
            return 0;
        }
        i++;
    }
    return 1;
}

int ws_close_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

int ws_write_header(uint8_t *to, uint8_t first, uint64_t length)
{
    int i;
    to[0] = first;
    if (length < 126) {
        to[1] = (uint8_t)length;
        return 2;
    }
    if (length < 65536) {
        to[1] = 126;
        to[2] = (uint8_t)(length >> 8);
        to[3] = (uint8_t)length;
        return 4;
    }
    to[1] = 127;
    for (i = 0; i < 8; i++)
        to[2 + i] = (uint8_t)(length >> (56 - 8 * i));
    return 10;
}
