/* libFuzzer target for websocket.c: reads the input as a client's frames, and checks what must always hold.
 *
 * Every part is judged in a copy of its exact size, so that the address sanitizer sees each byte read beyond it.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Icsrc csrc/websocket.c csrc/fuzz/websocket_fuzz.c -o
 * websocket_fuzz
 */
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

#define CHECK(condition) ((condition) ? (void)0 : abort())

static uint8_t *copy(const uint8_t *p, size_t n)
{
    uint8_t *made = malloc(n ? n : 1);
    CHECK(made != NULL);
    if (n)
        memcpy(made, p, n);
    return made;
}

/* Masking byte by byte gives the same, at every offset; twice gives the input. */
static void masks(const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset)
{
    uint8_t *made = copy(p, n);
    size_t i;
    ws_mask(made, made, n, mask, offset);
    for (i = 0; i < n; i++)
        CHECK(made[i] == (p[i] ^ mask[(offset + i) & 3]));
    ws_mask(made, made, n, mask, offset);
    CHECK(n == 0 || memcmp(made, p, n) == 0);
    free(made);
}

/* Cut anywhere, the verdict is the same; what was refused stays refused with more behind it. */
static void texts(const uint8_t *p, size_t n)
{
    struct ws_utf8 whole = {0}, pieces = {0};
    const int verdict = ws_utf8(&whole, p, n);
    size_t i;
    int good = 1;
    for (i = 0; i < n && good; i++) {
        uint8_t *one = copy(p + i, 1);
        good = ws_utf8(&pieces, one, 1);
        free(one);
    }
    CHECK(good == verdict);
    CHECK(!good || (pieces.need == whole.need && pieces.need <= 3));
}

static void headers(const uint8_t *p, size_t n)
{
    struct ws_frame frame, again;
    uint8_t made[10];
    size_t cut;
    const int used = ws_header(p, n, &frame);
    CHECK(used <= WS_HEADER_MAX && used <= (int)n && used > -WS_E_CONTINUATION);
    for (cut = 0; cut < n && cut <= WS_HEADER_MAX; cut++) { /* less input: undecided, or the same */
        uint8_t *some = copy(p, cut);
        const int part = ws_header(some, cut, &again);
        CHECK(part == 0 || part == used);
        free(some);
    }
    if (used <= 0)
        return;
    CHECK(frame.length >> 63 == 0);
    CHECK(ws_write_header(made, frame.first, frame.length) == used - 4);
    CHECK(made[0] == p[0] && made[1] == (p[1] & 0x7f) && memcmp(made + 2, p + 2, (size_t)used - 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *p = copy(data, n);
    if (n >= 5)
        masks(p + 5, n - 5, p, p[4]);
    texts(p, n);
    headers(p, n);
    if (n >= 2)
        (void)ws_close_code((unsigned)p[0] << 8 | p[1]);
    free(p);
    return 0;
}
