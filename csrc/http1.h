/* HTTP/1.1 (RFC 9112): the byte work of the codec, behind `hypercorn.wire.http1_primitives`.
 *
 * Contract of every function here: it reads only the n bytes that it is given, keeps no state but what the caller
 * passes in, allocates nothing, knows nothing of Python, and has no undefined behaviour for any input. What is judged
 * elsewhere (limits, the order of errors, what a message needs) is the caller's.
 */
#ifndef HYPERCORN_HTTP1_H
#define HYPERCORN_HTTP1_H

#include <stddef.h>
#include <stdint.h>

/* Errors: indexes into ERRORS of wire/tables.py, which holds status and words. */
enum h1_error {
    H1_OK = 0,
    H1_E_LINE,
    H1_E_EMPTY_LINES,
    H1_E_METHOD,
    H1_E_LINE_LONG,
    H1_E_REQUEST_LINE,
    H1_E_VERSION,
    H1_E_TARGET,
    H1_E_SCHEME,
    H1_E_CONNECT,
    H1_E_COUNT,
    H1_E_SECTION_LONG,
    H1_E_FIELD,
    H1_E_HOST,
    H1_E_HOST_TWICE,
    H1_E_HOST_MISSING,
    H1_E_HOST_DIFFERS,
    H1_E_LENGTH,
    H1_E_LENGTH_TWICE,
    H1_E_LENGTH_LARGE,
    H1_E_LENGTH_DIGITS,
    H1_E_CODING,
    H1_E_CODING_LENGTH,
    H1_E_CODING_OLD,
    H1_E_CODING_UNKNOWN,
    H1_E_EXPECT,
    H1_E_TRACE,
    H1_E_CHUNK,
    H1_E_CHUNK_LARGE,
    H1_E_CHUNK_EXT,
    H1_E_CHUNK_EXT_LONG,
    H1_E_CHUNK_END,
    H1_E_TRAILER_COUNT,
    H1_E_TRAILER_LONG,
    H1_E_TRAILER_FORBIDDEN
};

#define H1_METHOD_MAX 32 /* longer first words are no methods */
#define H1_NAME_MAX 32   /* longer names are in no table */
#define H1_EXT_LINE_MAX 256
#define H1_EXT_BODY_MAX 16384

/* Field names that decide something: indexes into h1_names. */
enum {
    H1_F_EXPECT = 15,
    H1_F_HOST = 7,
    H1_F_UPGRADE = 23,
    H1_F_CONNECTION = 36,
    H1_F_CONTENT_LENGTH = 64,
    H1_F_TRANSFER_ENCODING = 93
};

extern const char *const h1_names[];
extern const size_t h1_names_count;
extern const char *const h1_methods[];
extern const size_t h1_methods_count;

/* Index of the first control character other than HTAB (0x00-0x08, 0x0a-0x1f, 0x7f), or n. */
size_t h1_find_control(const uint8_t *p, size_t n);

/* Number of leading token characters (RFC 9110 section 5.6.2). */
size_t h1_token(const uint8_t *p, size_t n);

/* Copies n bytes, A-Z lower-cased. */
void h1_lower(uint8_t *to, const uint8_t *p, size_t n);

/* 1 when the n bytes equal the lower-case word, in any case. */
int h1_same_word(const uint8_t *p, size_t n, const char *word, size_t length);

/* Length of the token at p; its lower-case form, as far as it fits, and its index in h1_names, or -1. */
size_t h1_field_name(const uint8_t *p, size_t n, int *known);

/* Trims SP and HTAB from both ends: moves *p, returns the new length. */
size_t h1_trim(const uint8_t **p, size_t n);

/* The method that the request line starts with: its length once SP follows, 0 while undecided, -1 when it is none. */
int h1_method(const uint8_t *p, size_t n);

/* Index in h1_methods, or -1. */
int h1_known_method(const uint8_t *p, size_t n);

struct h1_request_line {
    size_t target, target_length;       /* as it stands in the line; length 0: unknown */
    size_t authority, authority_length; /* absolute-form only */
    size_t path, path_length;           /* length 0 in absolute-form without a path: "/" */
    size_t query, query_length;
    int minor;   /* of HTTP/1.minor */
    int https;   /* scheme of an absolute-form */
    int escaped; /* the path holds a % */
};

/* A request line without its CRLF, `method` bytes of which are a valid method. Returns an h1_error. */
int h1_request_line(const uint8_t *p, size_t n, size_t method, struct h1_request_line *out);

/* Decodes %XX once, leaves malformed escapes; returns the length written, at most n. */
size_t h1_unquote(uint8_t *to, const uint8_t *p, size_t n);

/* uri-host [":" port] without userinfo (RFC 9110 section 7.2). */
int h1_valid_authority(const uint8_t *p, size_t n);

/* 1 when both name the same host and port; a missing port is the scheme's. */
int h1_same_authority(const uint8_t *a, size_t an, const uint8_t *b, size_t bn, int https);

/* Content-Length of a request. Returns an h1_error. */
int h1_content_length(const uint8_t *p, size_t n, int64_t *value);

/* 1*DIGIT up to 2**63-1, any number of leading zeros; -1 otherwise. */
int64_t h1_decimal(const uint8_t *p, size_t n);

/* A number for some bytes, never 0. Not for keeping anybody out: whoever finds bytes by it compares them. */
uint64_t h1_hash(const uint8_t *p, size_t n);

/* Tokens of a Connection field, or-ed together. */
enum { H1_CLOSE = 1, H1_KEEP_ALIVE = 2, H1_UPGRADE = 4 };
int h1_connection(const uint8_t *p, size_t n);

/* Transfer-Encoding, collected over all its lines. Start with all zero; then h1_coding_verdict: an h1_error. */
struct h1_codings {
    int lines, tokens, bad, chunked, known_last;
};
void h1_coding(struct h1_codings *c, const uint8_t *p, size_t n);
int h1_coding_verdict(const struct h1_codings *c);

/* A response field: trims both parts, judges them, and says which fields the server has to know. */
struct h1_field {
    const uint8_t *name, *value;
    size_t name_length, value_length;
    int kind;
};
enum { H1_W_NAME = 1, H1_W_PSEUDO, H1_W_VALUE };
enum { H1_K_OTHER, H1_K_DATE, H1_K_SERVER, H1_K_LENGTH, H1_K_CODING, H1_K_CONNECTION };
int h1_check_field(struct h1_field *field);

/* Writes `name: value CRLF`, which needs 4 bytes more than the two parts; returns the length. */
size_t h1_write_field(uint8_t *to, const struct h1_field *field);

/* The chunked coding, resumable at every byte. Start with all zero. */
struct h1_chunks {
    uint64_t left;     /* of the chunk's data */
    uint32_t ext_body; /* extension bytes of the whole body */
    uint16_t ext_line; /* of this line */
    uint8_t phase, digits, ext, bad;
};
enum { H1_MORE = 0, H1_DATA = -1, H1_LAST = -2 };

/* Goes on until the input is used up (H1_MORE), a run of data was found (H1_DATA: *data_length bytes that end at
 * *used), the line of the last chunk was read (H1_LAST; the trailer section follows), or an h1_error. */
int h1_chunk(struct h1_chunks *c, const uint8_t *p, size_t n, size_t *used, size_t *data_length);

#endif
