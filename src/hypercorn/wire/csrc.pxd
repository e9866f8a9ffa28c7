# compiled only
# The declarations of csrc/http1.h.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "http1.h":
    enum:
        H1_E_LINE, H1_E_EMPTY_LINES, H1_E_METHOD, H1_E_LINE_LONG, H1_E_COUNT, H1_E_SECTION_LONG, H1_E_FIELD
        H1_F_HOST, H1_F_CONTENT_LENGTH, H1_F_TRANSFER_ENCODING, H1_F_CONNECTION, H1_F_EXPECT, H1_F_UPGRADE
        H1_DATA, H1_LAST
    ctypedef struct h1_chunks "struct h1_chunks":
        uint32_t ext_body
    ctypedef struct h1_codings "struct h1_codings":
        int lines
    ctypedef struct h1_request_line_t "struct h1_request_line":
        size_t target, target_length, authority, authority_length, path, path_length, query, query_length
        int minor, https, escaped
    ctypedef struct h1_field "struct h1_field":
        const uint8_t* name
        const uint8_t* value
        size_t name_length, value_length
        int kind
    const char* const h1_names[]
    const size_t h1_names_count
    const char* const h1_methods[]
    const size_t h1_methods_count
    size_t h1_find_control(const uint8_t* p, size_t n) noexcept nogil
    size_t h1_token(const uint8_t* p, size_t n) noexcept nogil
    void h1_lower(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil
    bint h1_same_word(const uint8_t* p, size_t n, const char* word, size_t length) noexcept nogil
    size_t h1_field_name(const uint8_t* p, size_t n, int* known) noexcept nogil
    size_t h1_trim(const uint8_t** p, size_t n) noexcept nogil
    int h1_method(const uint8_t* p, size_t n) noexcept nogil
    int h1_known_method(const uint8_t* p, size_t n) noexcept nogil
    int h1_request_line(const uint8_t* p, size_t n, size_t method, h1_request_line_t* out) noexcept nogil
    size_t h1_unquote(uint8_t* to, const uint8_t* p, size_t n) noexcept nogil
    bint h1_valid_authority(const uint8_t* p, size_t n) noexcept nogil
    bint h1_same_authority(const uint8_t* a, size_t an, const uint8_t* b, size_t bn, bint https) noexcept nogil
    int h1_content_length(const uint8_t* p, size_t n, int64_t* value) noexcept nogil
    int64_t h1_decimal(const uint8_t* p, size_t n) noexcept nogil
    uint64_t h1_hash(const uint8_t* p, size_t n) noexcept nogil
    int h1_connection(const uint8_t* p, size_t n) noexcept nogil
    void h1_coding(h1_codings* c, const uint8_t* p, size_t n) noexcept nogil
    int h1_coding_verdict(const h1_codings* c) noexcept nogil
    int h1_chunk(h1_chunks* c, const uint8_t* p, size_t n, size_t* used, size_t* data_length) noexcept nogil
    int h1_check_field(h1_field* field) noexcept nogil
    size_t h1_write_field(uint8_t* to, const h1_field* field) noexcept nogil
