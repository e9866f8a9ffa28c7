/* The chunked coding (RFC 9112 section 7.1), resumable at every byte; a part of http1.c.
 *
 * An error is given at the first byte that no valid body could have there, but for the grammar of extensions, which
 * is judged at the end of their line.
 */
#ifndef HYPERCORN_HTTP1_CHUNKS_H
#define HYPERCORN_HTTP1_CHUNKS_H

#include "http1_authority.h"

enum phase { SIZE, EXTENSION, LINE_LF, IN_DATA, DATA_CR, DATA_LF };

/* Where an extension is: `*( BWS ";" BWS name [ BWS "=" BWS value ] )`. */
enum extension { NONE, BEFORE_SEMI, BEFORE_NAME, NAME, AFTER_NAME, BEFORE_VALUE, VALUE, QUOTED, ESCAPED, QUOTE_END };

static inline uint8_t extension_word(uint8_t c, uint8_t blank, uint8_t assigned)
{
    return (uint8_t)(c == ' ' || c == '\t' ? blank : c == ';' ? BEFORE_NAME : c == '=' ? assigned : NONE);
}

/* The state after byte c, which is no control character; NONE when the grammar is broken. */
static uint8_t extension_step(uint8_t state, uint8_t c)
{
    const int blank = c == ' ' || c == '\t';
    switch (state) {
    case BEFORE_SEMI:
        return (uint8_t)(blank ? BEFORE_SEMI : c == ';' ? BEFORE_NAME : NONE);
    case BEFORE_NAME:
        return (uint8_t)(blank ? BEFORE_NAME : TOKEN[c] ? NAME : NONE);
    case NAME:
        return TOKEN[c] ? (uint8_t)NAME : extension_word(c, AFTER_NAME, BEFORE_VALUE);
    case AFTER_NAME:
        return extension_word(c, AFTER_NAME, BEFORE_VALUE);
    case BEFORE_VALUE:
        return (uint8_t)(blank ? BEFORE_VALUE : c == '"' ? QUOTED : TOKEN[c] ? VALUE : NONE);
    case VALUE:
        return TOKEN[c] ? (uint8_t)VALUE : extension_word(c, BEFORE_SEMI, NONE);
    case QUOTED:
        return (uint8_t)(c == '"' ? QUOTE_END : c == '\\' ? ESCAPED : QUOTED);
    case ESCAPED:
        return QUOTED;
    case QUOTE_END:
        return extension_word(c, BEFORE_SEMI, NONE);
    default:
        return NONE;
    }
}

static int chunk_digit(struct h1_chunks *c, uint8_t digit)
{
    if (c->left > (uint64_t)INT64_MAX >> 4)
        return H1_E_CHUNK_LARGE;
    if (c->digits == 16)
        return H1_E_CHUNK;
    c->left = c->left << 4 | (uint64_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    c->digits++;
    return H1_OK;
}

/* One byte of the line that announces a chunk. */
static int chunk_line(struct h1_chunks *c, uint8_t byte)
{
    if (c->phase == SIZE) {
        if (IS(byte, HEX))
            return chunk_digit(c, byte);
        if (c->digits == 0 || (byte != '\r' && byte != ';' && byte != ' ' && byte != '\t'))
            return H1_E_CHUNK;
        c->phase = byte == '\r' ? LINE_LF : EXTENSION;
        if (byte == '\r')
            return H1_OK;
        c->ext = BEFORE_SEMI;
    } else if (byte == '\r') {
        c->phase = LINE_LF;
        return H1_OK;
    }
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return H1_E_CHUNK;
    c->ext = extension_step(c->ext, byte);
    c->bad |= c->ext == NONE;
    return ++c->ext_line > H1_EXT_LINE_MAX ? H1_E_CHUNK_EXT_LONG : H1_OK;
}

/* The line is complete: judges its extensions and makes ready for data or the next line. */
static int chunk_line_end(struct h1_chunks *c)
{
    if (c->ext_line) {
        if (c->bad || (c->ext != NAME && c->ext != VALUE && c->ext != QUOTE_END))
            return H1_E_CHUNK_EXT;
        c->ext_body += c->ext_line;
        if (c->ext_body > H1_EXT_BODY_MAX)
            return H1_E_CHUNK_EXT_LONG;
    }
    c->ext_line = 0;
    c->digits = 0;
    c->phase = IN_DATA;
    return H1_OK;
}

int h1_chunk(struct h1_chunks *c, const uint8_t *p, size_t n, size_t *used, size_t *data_length)
{
    size_t i = 0, run;
    int error = H1_OK;

    while (i < n) {
        if (c->phase <= EXTENSION)
            error = chunk_line(c, p[i++]);
        else if (c->phase == LINE_LF) {
            error = p[i++] == '\n' ? chunk_line_end(c) : H1_E_CHUNK;
            if (error == H1_OK && c->left == 0) {
                *used = i;
                return H1_LAST;
            }
        } else if (c->phase == IN_DATA) {
            run = n - i < c->left ? n - i : (size_t)c->left;
            c->left -= run;
            c->phase = c->left ? IN_DATA : DATA_CR;
            *used = i + run;
            *data_length = run;
            return H1_DATA;
        } else {
            error = p[i++] == (c->phase == DATA_CR ? '\r' : '\n') ? H1_OK : H1_E_CHUNK_END;
            c->phase = c->phase == DATA_CR ? DATA_LF : SIZE;
        }
        if (error != H1_OK)
            return error;
    }
    *used = n;
    return H1_MORE;
}

#endif
