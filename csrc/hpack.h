/* HPACK (RFC 7541) and the field rules of HTTP/2 (RFC 9113 section 8): the byte work of `hypercorn.wire.hpack`.
 *
 * Contract of every function here: it reads only the n bytes that it is given, keeps no state but what the caller
 * passes in, allocates nothing, knows nothing of Python, and has no undefined behaviour for any input. The tables
 * and all limits are the caller's.
 */
#ifndef HYPERCORN_HPACK_H
#define HYPERCORN_HPACK_H

#include <stddef.h>
#include <stdint.h>

#define HPACK_INT_OCTETS 4 /* continuation octets of an integer; more are malformed here (RFC 7541 section 5.1) */
#define HPACK_BAD SIZE_MAX

/* An integer with a prefix of 1 to 8 bits. Octets used, or 0 when it is cut off or too long. */
size_t hpack_integer(const uint8_t *p, size_t n, int prefix, uint32_t *value);

/* Room that the decoded form of n octets may need. */
#define HPACK_ROOM(n) ((n) / 5 * 8 + 8)

/* Decodes Huffman-coded octets into `to`, which has HPACK_ROOM(n) octets. The length, or HPACK_BAD for EOS, for
 * padding of eight bits or more, and for padding that is not ones (RFC 7541 section 5.2). */
size_t hpack_huffman(uint8_t *to, const uint8_t *p, size_t n);

/* A representation, taken apart (RFC 7541 section 6). Strings point into the block. */
enum hpack_kind { HPACK_INDEXED, HPACK_LITERAL, HPACK_INDEXING, HPACK_RESIZE, HPACK_MALFORMED };

struct hpack_item {
    int kind;
    uint32_t index; /* of the field or of its name; 0: the name is literal; a new size for HPACK_RESIZE */
    const uint8_t *name, *value;
    size_t name_length, value_length;
    int name_coded, value_coded; /* Huffman */
};

/* The representation at p: octets used, 0 when it is malformed or cut off. n is at least 1. */
size_t hpack_next(const uint8_t *p, size_t n, struct hpack_item *item);

/* 1 for a field name as HTTP/2 has them: a token without upper-case letters, after a colon for a pseudo field. */
int hpack_valid_name(const uint8_t *p, size_t n);

/* 1 for a field value without control characters but HTAB, and without white space at its ends. */
int hpack_valid_value(const uint8_t *p, size_t n);

#endif
