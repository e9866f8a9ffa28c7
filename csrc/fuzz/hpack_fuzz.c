/* libFuzzer target for hpack.c: reads the input as a header block, and checks what must always hold.
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

/* What was read is what its octets say, and less input is undecided or the same. */
static void integers(const uint8_t *p, size_t n)
{
    int prefix;
    for (prefix = 1; prefix <= 8; prefix++) {
        uint32_t value = 0, again = 0;
        const size_t used = hpack_integer(p, n, prefix, &value);
        size_t cut;
        CHECK(used <= n && used <= 1 + HPACK_INT_OCTETS);
        for (cut = 0; cut < used; cut++) {
            uint8_t *some = copy(p, cut);
            CHECK(hpack_integer(some, cut, prefix, &again) == 0);
            free(some);
        }
        if (used == 1)
            CHECK(value == (p[0] & ((1u << prefix) - 1)));
        CHECK(value < 1u << 29);
    }
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

/* One representation after the other, as the decoder takes them: none reaches beyond the block. */
static void block(const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        struct hpack_item item;
        const size_t used = hpack_next(p + at, n - at, &item);
        if (used == 0)
            return;
        CHECK(used <= n - at);
        CHECK(item.kind >= HPACK_INDEXED && item.kind < HPACK_MALFORMED);
        if (item.kind == HPACK_LITERAL || item.kind == HPACK_INDEXING) {
            CHECK(item.value >= p + at && item.value + item.value_length == p + at + used);
            CHECK(item.index != 0 || (item.name >= p + at && item.name + item.name_length <= item.value));
            if (item.value_coded)
                codes(item.value, item.value_length);
            if (item.index == 0) {
                uint8_t *name = copy(item.name, item.name_length);
                names(name, item.name_length);
                free(name);
            }
        }
        at += used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t *p = copy(data, n);
    integers(p, n);
    codes(p, n);
    names(p, n);
    block(p, n);
    free(p);
    return 0;
}
