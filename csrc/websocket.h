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

#define WS_HEADER_MAX 14 /* bytes of the longest frame header */

enum { WS_FIN = 0x80, WS_RSV1 = 0x40, WS_RSV2 = 0x20, WS_RSV3 = 0x10, WS_OPCODE = 0x0f };

/* Errors: indexes into ERRORS of wire/frames.py, which holds close code and words. */
enum ws_error {
    WS_OK = 0,
    WS_E_RSV,
    WS_E_OPCODE,
    WS_E_MASK,
    WS_E_CONTROL_LONG,
    WS_E_CONTROL_FIN,
    WS_E_LENGTH,
    WS_E_CONTINUATION,
    WS_E_INTERRUPTED,
    WS_E_CLOSE_SHORT,
    WS_E_CLOSE_CODE,
    WS_E_UTF8,
    WS_E_FRAME_LARGE,
    WS_E_MESSAGE_LARGE,
    WS_E_DEFLATE
};

struct ws_frame {
    uint64_t length; /* of the payload; below 2^63 */
    uint8_t first;   /* the first byte: FIN, RSV bits, opcode */
    uint8_t mask[4];
};

/* A client's frame header (RFC 6455 section 5.2): its length once it is whole, 0 while it is not, or the negative of an
 * error that no context could heal. */
int ws_header(const uint8_t *p, size_t n, struct ws_frame *out);

/* Copies n bytes of a payload, masked or unmasked; the first of them is byte `offset` of the payload. `to` may be `p`.
 */
void ws_mask(uint8_t *to, const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t offset);

/* UTF-8 (RFC 3629) in pieces: starts with all zero; complete where `need` is 0. */
struct ws_utf8 {
    uint8_t need;      /* continuation bytes to come */
    uint8_t low, high; /* what the next one may be */
};

/* 1 while the bytes so far begin valid UTF-8, else 0: told at the first byte that cannot be. */
int ws_utf8(struct ws_utf8 *state, const uint8_t *p, size_t n);

/* 1 for a code that may stand in a close frame (RFC 6455 section 7.4, and what IANA registered since). */
int ws_close_code(unsigned code);

/* Writes the header of a server's frame, which is not masked; returns its length, at most 10. */
int ws_write_header(uint8_t *to, uint8_t first, uint64_t length);

#endif
