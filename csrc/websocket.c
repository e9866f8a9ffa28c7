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
