# twin of http1_primitives.py
"""What the HTTP/1.1 codec does with octets at speed, over `csrc/http1.c`. The contract stands in http1_primitives.py."""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset

from hypercorn.wire.csrc cimport *
from hypercorn.wire.head cimport HeadLines
from hypercorn.wire.octets cimport Octets

__all__ = (
    "Chunks", "connection_options", "content_length", "decimal", "empty_lines", "encode_chunk", "encode_response",
    "field_kind", "field_lines", "is_token", "judge_codings", "key_of", "part", "request_line", "same_authority", "stands_at",
    "valid_authority", "write_field",
)

cdef enum:  # as in tables.py
    _MORE, _END, _OTHER, _HOST, _CONNECTION, _CONTENT_LENGTH, _TRANSFER_ENCODING, _UPGRADE, _EXPECT

cdef size_t _k
cdef list _NAMES = [<bytes>h1_names[_k] for _k in range(h1_names_count)]
cdef list _METHODS = [(<bytes>h1_methods[_k]).decode("ascii") for _k in range(h1_methods_count)]
cdef str _V10 = "1.0", _V11 = "1.1"
cdef bytes _SLASH = b"/"


cdef struct View:  # what is left of some octets
    const uint8_t* p
    size_t n


cdef inline int view(View* found, data, Py_ssize_t start) except -1:
    """The octets from `start` on of bytes or a bytearray."""
    cdef Py_ssize_t n
    if type(data) is bytes:
        found.p = <const uint8_t*>PyBytes_AS_STRING(data)
        n = PyBytes_GET_SIZE(data)
    elif type(data) is bytearray:
        found.p = <const uint8_t*>PyByteArray_AS_STRING(data)
        n = PyByteArray_GET_SIZE(data)
    else:
        raise TypeError("octets are bytes or a bytearray")
    if not 0 <= start <= n:
        raise IndexError("no such part")
    found.p += start
    found.n = n - start
    return 0


cdef inline int whole(View* found, bytes value) except -1:
    if value is None:
        raise TypeError("octets are bytes")
    found.p = <const uint8_t*>PyBytes_AS_STRING(value)
    found.n = PyBytes_GET_SIZE(value)
    return 0


cdef inline int view_line(View* found, data, Py_ssize_t start, HeadLines head) except -1:
    """The octets from `start` on, where the line begins that `head` knows."""
    if head is None:
        raise TypeError("a head is needed")
    view(found, data, start)
    if <size_t>head.scanned > found.n:
        raise IndexError("not the line that was begun")
    return 0


cdef inline bytes slice_of(const uint8_t* p, size_t n):
    return PyBytes_FromStringAndSize(<const char*>p, <Py_ssize_t>n)


cdef bytes lowered(const uint8_t* p, size_t n):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>n)
    h1_lower(<uint8_t*>PyBytes_AS_STRING(made), p, n)
    return made


cpdef bytes part(data, Py_ssize_t start, Py_ssize_t end):
    cdef View v
    view(&v, data, start)
    if end < start or <size_t>(end - start) > v.n:
        raise IndexError("no such part")
    return slice_of(v.p, end - start)


cpdef bint stands_at(data, Py_ssize_t start, bytes text) except -1:
    cdef View v
    cdef View wanted
    view(&v, data, start)
    whole(&wanted, text)
    return wanted.n <= v.n and memcmp(v.p, wanted.p, wanted.n) == 0


cpdef Py_ssize_t key_of(data, Py_ssize_t start, Py_ssize_t end) except? -1:
    cdef View v
    view(&v, data, start)
    if end < start or <size_t>(end - start) > v.n:
        raise IndexError("no such part")
    return <Py_ssize_t>(h1_hash(v.p, end - start) >> 1)  # whose lowest bit is always set


# --- a head


cpdef Py_ssize_t empty_lines(data, Py_ssize_t start, Py_ssize_t limit) except? -1:
    cdef View v
    cdef Py_ssize_t used = 0
    view(&v, data, start)
    while v.n > <size_t>used and v.p[used] == c"\r":
        if used >= limit:
            return -H1_E_EMPTY_LINES
        if v.n - used == 1:
            break
        if v.p[used + 1] != c"\n":
            return -H1_E_LINE
        used += 2
    return used


cdef inline Py_ssize_t line_length(View* v, Py_ssize_t limit, int long_code, HeadLines head) noexcept:
    """Length of the line at hand without CRLF, which `limit` counts; -1 while it is incomplete, -1 - error where it is
    none."""
    cdef size_t top = min(v.n, <size_t>max(limit, 1))
    cdef size_t scanned = <size_t>head.scanned
    cdef size_t n = scanned
    if top > scanned:
        n += h1_find_control(v.p + scanned, top - scanned)
    if n and <Py_ssize_t>n > limit - 2:
        return -1 - long_code
    if n == v.n or (v.p[n] == c"\r" and n + 1 == v.n):
        head.scanned = n
        return -1
    if v.p[n] != c"\r" or v.p[n + 1] != c"\n":
        return -1 - H1_E_LINE
    head.scanned = 0
    return <Py_ssize_t>n


cpdef Py_ssize_t request_line(data, Py_ssize_t start, Py_ssize_t limit, HeadLines head) except? -1:
    cdef View v
    cdef h1_request_line_t line
    cdef Py_ssize_t n
    cdef int code
    view_line(&v, data, start, head)
    if head.method_length == 0:
        code = h1_method(v.p, v.n)
        if code < 0:
            return -H1_E_METHOD
        if code:
            head.method_length = code
            code = h1_known_method(v.p, head.method_length)
            if code >= 0:
                head.method = <str>PyList_GET_ITEM(_METHODS, code)
            else:
                head.method = PyUnicode_DecodeASCII(<const char*>v.p, head.method_length, NULL)
    n = line_length(&v, limit, H1_E_LINE_LONG, head)
    if n < 0:
        return n + 1
    code = h1_request_line(v.p, n, head.method_length, &line)
    if line.target_length:
        head.raw_target = slice_of(v.p + line.target, line.target_length)
    if code:
        return -code
    head.minor = line.minor
    head.http_version = _V11 if line.minor else _V10
    head.https = line.https
    head.authority = slice_of(v.p + line.authority, line.authority_length) if line.authority_length else None
    head.query_string = slice_of(v.p + line.query, line.query_length)
    if line.path_length == 0:
        head.raw_path = _SLASH
    elif line.path_length == line.target_length:
        head.raw_path = head.raw_target
    else:
        head.raw_path = slice_of(v.p + line.path, line.path_length)
    head.path = path_of(head.raw_path, line.escaped)
    return n + 2


cdef str path_of(bytes raw, bint escaped):
    """Percent-decoded once; malformed escapes stay, malformed UTF-8 becomes U+FFFD."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(raw)
    cdef bytes plain
    if not escaped:
        return PyUnicode_DecodeASCII(PyBytes_AS_STRING(raw), n, NULL)
    plain = PyBytes_FromStringAndSize(NULL, n)
    n = h1_unquote(<uint8_t*>PyBytes_AS_STRING(plain), <const uint8_t*>PyBytes_AS_STRING(raw), n)
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(plain), n, "replace")


cdef inline int kind_of(int known) noexcept:
    """What a name of `h1_names` decides."""
    if known == H1_F_HOST:
        return _HOST
    if known == H1_F_CONNECTION:
        return _CONNECTION
    if known == H1_F_CONTENT_LENGTH:
        return _CONTENT_LENGTH
    if known == H1_F_TRANSFER_ENCODING:
        return _TRANSFER_ENCODING
    if known == H1_F_UPGRADE:
        return _UPGRADE
    return _EXPECT if known == H1_F_EXPECT else _MORE


cpdef int field_lines(
    data, Py_ssize_t start, Py_ssize_t max_size, Py_ssize_t max_count, bint keep_case, bint each, HeadLines head
) except? -1:
    cdef View v
    cdef const uint8_t* first
    cdef const uint8_t* at
    cdef list fields
    cdef bytes name, value
    cdef Py_ssize_t n
    cdef size_t length, size
    cdef int known, kind
    view_line(&v, data, start, head)
    first = v.p
    fields = head.fields
    while True:
        if head.count >= max_count and v.n and h1_find_control(v.p, 1):
            kind = -H1_E_COUNT
            break
        n = line_length(&v, max_size - head.section_size, H1_E_SECTION_LONG, head)
        if n <= 0:
            kind = <int>n + 1  # _END for the empty line, _MORE, or minus the error
            if n == 0:
                v.p += 2
            break
        length = h1_field_name(v.p, n, &known)
        if length == 0 or length == <size_t>n or v.p[length] != c":":
            kind = -H1_E_FIELD
            break
        if keep_case:
            name = slice_of(v.p, length)
        elif known >= 0:
            name = <bytes>PyList_GET_ITEM(_NAMES, known)
        else:
            name = lowered(v.p, length)
        at = v.p + length + 1
        size = h1_trim(&at, n - length - 1)
        value = slice_of(at, size)
        fields.append((name, value))
        v.p += n + 2
        v.n -= n + 2
        head.section_size += n + 2
        head.count += 1
        kind = _OTHER if each else kind_of(known)
        if kind:
            head.value = value
            break
    head.end = start + (v.p - first)
    return kind


# --- values of fields


cpdef bint is_token(bytes value) except -1:
    cdef View v
    whole(&v, value)
    return v.n and h1_token(v.p, v.n) == v.n


cpdef bint valid_authority(bytes value) except -1:
    cdef View v
    whole(&v, value)
    return h1_valid_authority(v.p, v.n)


cpdef bint same_authority(bytes one, bytes other, bint https) except -1:
    cdef View a
    cdef View b
    whole(&a, one)
    whole(&b, other)
    return h1_same_authority(a.p, a.n, b.p, b.n, https)


cpdef int connection_options(bytes value) except -1:
    cdef View v
    whole(&v, value)
    return h1_connection(v.p, v.n)


cpdef int64_t content_length(bytes value) except? -1:
    cdef View v
    cdef int64_t length = 0
    cdef int code
    whole(&v, value)
    code = h1_content_length(v.p, v.n, &length)
    return -code if code else length


cpdef int64_t decimal(bytes value) except? -1:
    cdef View v
    whole(&v, value)
    return h1_decimal(v.p, v.n)


cpdef int judge_codings(list values) except -1:
    cdef h1_codings codings
    cdef View v
    memset(&codings, 0, sizeof(codings))
    for value in values:
        whole(&v, value)
        h1_coding(&codings, v.p, v.n)
    return h1_coding_verdict(&codings)


# --- a body


@cython.final
cdef class Chunks:
    cpdef bytes read(self, data, Py_ssize_t start):
        cdef View v
        cdef const uint8_t* first
        cdef const uint8_t* source
        cdef bytes joined = None
        cdef size_t used = 0, run = 0, made = 0
        cdef int code
        view(&v, data, start)
        first = source = v.p
        while True:
            code = h1_chunk(&self.state, v.p, v.n, &used, &run)
            if code > 0:
                self.error = code
                break
            v.p += used
            v.n -= used
            if code != H1_DATA:
                break
            if made == 0:
                source = v.p - run
            else:
                if joined is None:
                    joined = PyBytes_FromStringAndSize(NULL, made + run + v.n)
                    memcpy(PyBytes_AS_STRING(joined), source, made)
                memcpy(PyBytes_AS_STRING(joined) + made, v.p - run, run)
            made += run
        self.last = code == H1_LAST
        self.end = start + (v.p - first)
        return slice_of(source if joined is None else <const uint8_t*>PyBytes_AS_STRING(joined), made)


# --- output


cpdef int field_kind(bytes name, bytes value) except? -1:
    cdef View n
    cdef View v
    cdef h1_field field
    cdef int code
    whole(&n, name)
    whole(&v, value)
    field.name, field.name_length = n.p, n.n
    field.value, field.value_length = v.p, v.n
    code = h1_check_field(&field)
    return -code if code else field.kind


cpdef write_field(Octets out, bytes name, bytes value):
    cdef View n
    cdef View v
    cdef h1_field field
    whole(&n, name)
    whole(&v, value)
    if out is None:
        raise TypeError("write_field() takes Octets")
    field.name, field.value = n.p, v.p
    field.name_length = h1_trim(&field.name, n.n)
    field.value_length = h1_trim(&field.value, v.n)
    out.reserve(field.name_length + field.value_length + 4)
    out.size += h1_write_field(out.base + out.size, &field)


cpdef bytes encode_chunk(bytes data, bint last=False):
    cdef View v
    cdef size_t value, digits = 1
    cdef bytes made
    cdef char* p
    whole(&v, data)
    value = v.n
    if v.n == 0:
        return b"0\r\n\r\n" if last else b""
    while value > 15:
        value >>= 4
        digits += 1
    made = PyBytes_FromStringAndSize(NULL, digits + v.n + 4 + (5 if last else 0))
    p = PyBytes_AS_STRING(made)
    for value in range(digits):
        p[value] = b"0123456789abcdef"[(v.n >> 4 * (digits - 1 - value)) & 15]
    p += digits
    memcpy(p, b"\r\n", 2)
    memcpy(p + 2, v.p, v.n)
    memcpy(p + 2 + v.n, b"\r\n0\r\n\r\n", 7 if last else 2)
    return made


cpdef bytes encode_response(
    bytes status_line, bytes fields, bytes server_fields, bytes framing, bytes ending, bytes body
):
    cdef bytes made
    cdef char* p
    if (
        status_line is None or fields is None or server_fields is None
        or framing is None or ending is None or body is None
    ):
        raise TypeError("encode_response() takes bytes")
    made = PyBytes_FromStringAndSize(
        NULL, len(status_line) + len(fields) + len(server_fields) + len(framing) + len(ending) + len(body)
    )
    p = put(PyBytes_AS_STRING(made), status_line)
    p = put(p, fields)
    p = put(p, server_fields)
    p = put(p, framing)
    p = put(p, ending)
    put(p, body)
    return made


cdef inline char* put(char* p, bytes part):
    memcpy(p, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
    return p + PyBytes_GET_SIZE(part)
