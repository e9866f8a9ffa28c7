/* WebSocket (RFC 6455): the byte work of the codec `hypercorn.wire.websocket`.
 *
 * Contract of every function here: it reads only the n bytes that it is given, keeps no state but what the caller
 * passes in, allocates nothing, knows nothing of Python, and has no undefined behaviour for any input. Which frame may
 * follow which, and how long a message may be, is the caller's to judge.
 */
#ifndef HYPERCORN_WEBSOCKET_H
#define HYPERCORN_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

/* Copies n bytes of a payload, masked or unmasked; the first of them is byte `offset` of the payload. `to` may be `p`.
 */
void ws_mask(uint8_t *to, const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset);

/* Writes the header of a server's frame, which is not masked; returns its length, at most 10. */
int ws_write_header(uint8_t *to, uint8_t first, uint64_t length);

#endif
