/* HPACK (RFC 7541) and the field rules of HTTP/2 (RFC 9113 section 8): the byte work of `hypercorn.wire.primitives`.
 *
 * Contract of every function here: it reads only the n bytes that it is given, keeps no state but what the caller
 * passes in, allocates nothing, knows nothing of Python, and has no undefined behaviour for any input. The tables
 * and all limits are the caller's.
 */
#ifndef HYPERCORN_HPACK_H
#define HYPERCORN_HPACK_H

#include <stddef.h>
#include <stdint.h>

#define HPACK_BAD SIZE_MAX

/* Room that the decoded form of n octets may need. */
#define HPACK_ROOM(n) ((n) / 5 * 8 + 8)

/* Decodes Huffman-coded octets into `to`, which has HPACK_ROOM(n) octets. The length, or HPACK_BAD for EOS, for
 * padding of eight bits or more, and for padding that is not ones (RFC 7541 section 5.2). */
size_t hpack_huffman(uint8_t *to, const uint8_t *p, size_t n);

/* 1 for a field name as HTTP/2 has them: a token without upper-case letters, after a colon for a pseudo field. */
int hpack_valid_name(const uint8_t *p, size_t n);

/* 1 for a field value without control characters but HTAB, and without white space at its ends. */
int hpack_valid_value(const uint8_t *p, size_t n);

#endif
