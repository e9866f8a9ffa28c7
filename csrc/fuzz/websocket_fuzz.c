/* libFuzzer target for websocket.c: masks a part of the input, writes headers, and checks what must always hold.
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

/* The header of a server's frame is the shortest that holds the length (RFC 6455 section 5.2). */
static void headers(uint8_t first, uint64_t length)
{
    uint8_t made[10];
    const int used = ws_write_header(made, first, length);
    uint64_t said = 0;
    int i;
    CHECK(made[0] == first);
    CHECK(used == (length < 126 ? 2 : length < 65536 ? 4 : 10));
    if (used == 2) {
        said = made[1];
    } else {
        CHECK(made[1] == (used == 4 ? 126 : 127));
        for (i = 2; i < used; i++)
            said = said << 8 | made[i];
    }
    CHECK(said == length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *p = copy(data, n);
    if (n >= 5)
        masks(p + 5, n - 5, p, p[4]);
    if (n >= 9) {
        uint64_t length;
        memcpy(&length, p + 1, 8);
        headers(p[0], length >> (p[8] & 63));
    }
    free(p);
    return 0;
}
