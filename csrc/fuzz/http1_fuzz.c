/* libFuzzer target for http1.c: reads the input as requests, line by line, and checks what must always hold.
 *
 * Every part is judged in a copy of its exact size, so that the address sanitizer sees each byte read beyond it.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Icsrc csrc/http1.c csrc/fuzz/http1_fuzz.c -o http1_fuzz
 */
#include <stdlib.h>
#include <string.h>

#include "http1.h"

#define CHECK(condition) ((condition) ? (void)0 : abort())

static uint8_t *copy(const uint8_t *p, size_t n)
{
    uint8_t *made = malloc(n ? n : 1);
    CHECK(made != NULL);
    if (n)
        memcpy(made, p, n);
    return made;
}

static void control_is_found(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] >= 0x20 || p[i] == '\t') && p[i] != 0x7f)
        i++;
    CHECK(h1_find_control(p, n) == i);
}

static void request_line(const uint8_t *p, size_t n)
{
    struct h1_request_line line;
    const int method = h1_method(p, n);
    uint8_t *plain;
    CHECK(method >= -1 && method <= H1_METHOD_MAX);
    if (method <= 0)
        return;
    CHECK(h1_known_method(p, (size_t)method) < (int)h1_methods_count);
    if (h1_request_line(p, n, (size_t)method, &line) != H1_OK)
        return;
    CHECK(line.path + line.path_length <= n && line.query + line.query_length <= n);
    CHECK(line.target + line.target_length <= n && line.authority + line.authority_length <= n);
    CHECK(line.minor == 0 || line.minor == 1);
    if (line.authority_length)
        CHECK(h1_same_authority(p + line.authority, line.authority_length, p + line.authority, line.authority_length,
                                line.https));
    plain = copy(p, line.path_length);
    CHECK(h1_unquote(plain, p + line.path, line.path_length) <= line.path_length);
    free(plain);
}

static void field_value(const uint8_t *p, size_t n)
{
    struct h1_codings codings = {0};
    int64_t length = -1;
    const int error = h1_content_length(p, n, &length);
    CHECK(error != H1_OK || (length >= 0 && length == h1_decimal(p, n)));
    CHECK(h1_valid_authority(p, n) == h1_same_authority(p, n, p, n, 0));
    CHECK(h1_connection(p, n) <= 7);
    h1_coding(&codings, p, n);
    h1_coding(&codings, p, n);
    CHECK(h1_coding_verdict(&codings) != H1_OK); /* twice is never once */
}

static void field_line(const uint8_t *p, size_t n)
{
    struct h1_field field;
    const uint8_t *value;
    uint8_t *made;
    int known;
    const size_t name = h1_field_name(p, n, &known);
    CHECK(name == h1_token(p, n) && known < (int)h1_names_count);
    if (known >= 0)
        CHECK(h1_same_word(p, name, h1_names[known], strlen(h1_names[known])));
    if (name == 0 || name == n || p[name] != ':')
        return;
    value = p + name + 1;
    n = h1_trim(&value, n - name - 1);
    made = copy(value, n);
    field_value(made, n);
    free(made);
    field.name = p;
    field.name_length = name;
    field.value = value;
    field.value_length = n;
    CHECK(h1_check_field(&field) == 0);
    made = malloc(name + n + 4);
    CHECK(made != NULL && h1_write_field(made, &field) == name + n + 4);
    free(made);
}

/* Decodes up to the last chunk; returns its verdict, and a sum over the data that depends on its order. */
static int chunks(const uint8_t *p, size_t n, size_t step, uint64_t *sum, size_t *consumed)
{
    struct h1_chunks state = {0};
    size_t at = 0, used = 0, run = 0, size, i;
    int verdict = H1_MORE;
    uint8_t *piece;
    *sum = 0;
    while (at < n && verdict <= 0 && verdict != H1_LAST) {
        size = n - at < step ? n - at : step;
        piece = copy(p + at, size);
        verdict = h1_chunk(&state, piece, size, &used, &run);
        CHECK(verdict > 0 || (used >= 1 && used <= size));
        if (verdict == H1_DATA)
            for (i = used - run; i < used; i++)
                *sum = *sum * 31 + piece[i];
        free(piece);
        at += used;
    }
    *consumed = at;
    return verdict == H1_DATA ? H1_MORE : verdict;
}

static void body(const uint8_t *p, size_t n)
{
    uint64_t whole, pieces;
    size_t used[2];
    const int verdict = chunks(p, n, n ? n : 1, &whole, &used[0]);
    CHECK(chunks(p, n, 1, &pieces, &used[1]) == verdict);
    CHECK(verdict > 0 || (whole == pieces && used[0] == used[1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t from = 0, n;
    uint8_t *line;
    while (from < size) {
        n = h1_find_control(data + from, size - from);
        line = copy(data + from, n);
        control_is_found(line, n);
        request_line(line, n);
        field_line(line, n);
        free(line);
        if (size - from - n >= 4 && memcmp(data + from + n, "\r\n\r\n", 4) == 0)
            body(data + from + n + 4, size - from - n - 4);
        from += n + 1;
    }
    control_is_found(data, size);
    body(data, size);
    return 0;
}
