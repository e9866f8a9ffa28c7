/* libFuzzer target for hpack.c: reads the input as a Huffman code, a name and a value, and checks what must always hold.
 *
 * Every part is judged in a copy of its exact size, so that the address sanitizer sees each byte read beyond it.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Icsrc csrc/hpack.c csrc/http1.c csrc/fuzz/hpack_fuzz.c -o
 * hpack_fuzz
 */
#include <stdlib.h>
#include <string.h>

#include "hpack.h"

#define CHECK(condition) ((condition) ? (void)0 : abort())

static uint8_t *copy(const uint8_t *p, size_t n)
{
    uint8_t *made = malloc(n ? n : 1);
    CHECK(made != NULL);
    if (n)
        memcpy(made, p, n);
    return made;
}

/* The room is enough; no code is longer than 30 bits, so the length has a floor as well. */
static void codes(const uint8_t *p, size_t n)
{
    const size_t room = HPACK_ROOM(n);
    uint8_t *made = malloc(room);
    size_t length;
    CHECK(made != NULL);
    length = hpack_huffman(made, p, n);
    CHECK(length == HPACK_BAD || length <= room);
    CHECK(length == HPACK_BAD || length * 30 + 7 >= n * 8);
    free(made);
}

static void names(const uint8_t *p, size_t n)
{
    size_t i;
    if (hpack_valid_name(p, n)) {
        CHECK(n > 0);
        for (i = 0; i < n; i++)
            CHECK(p[i] > ' ' && p[i] < 0x7f && !(p[i] >= 'A' && p[i] <= 'Z') && (i == 0 || p[i] != ':'));
    }
    if (hpack_valid_value(p, n))
        for (i = 0; i < n; i++)
            CHECK((p[i] >= ' ' || p[i] == '\t') && p[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *p = copy(data, n);
    codes(p, n);
    names(p, n);
    free(p);
    return 0;
}
