# The part of http1.pyx that writes: header fields, chunks, whole responses.

cdef class FieldEncoder:
    """Writes the header fields of responses; see http1.py."""

    def __cinit__(self):
        self.buffer = NULL
        self.content_length = -1

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cpdef bytes encode(self, headers, bint omit_length=False):
        cdef Py_ssize_t index = 0
        cdef bytes made
        self.used = 0
        self.content_length = -1
        self.close = self.has_date = self.has_server = False
        for item in headers:
            self.pair(item, index, omit_length)
            index += 1
        made = _slice(self.buffer, self.used)
        if self.capacity > _KEPT:
            PyMem_Free(self.buffer)
            self.buffer = NULL
            self.capacity = 0
        return made

    cdef int pair(self, object item, Py_ssize_t index, bint omit_length) except -1:
        cdef h1_field field
        cdef int code
        cdef int64_t length
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeError(f"Header {index} is not a pair (bytes, bytes)")
        name, value = item
        if not isinstance(name, bytes):
            raise TypeError(f"The name of header {index} is not bytes, but {type(name).__name__}")
        if not isinstance(value, bytes):
            raise TypeError(f"The value of header {index} is not bytes, but {type(value).__name__}")
        field.name = <const uint8_t*>PyBytes_AS_STRING(name)
        field.name_length = PyBytes_GET_SIZE(name)
        field.value = <const uint8_t*>PyBytes_AS_STRING(value)
        field.value_length = PyBytes_GET_SIZE(value)
        code = h1_check_field(&field)
        if code == H1_W_PSEUDO:
            raise ValueError("Pseudo headers are not valid")
        if code:
            what = f"name of header {index}: {name!r}" if code == H1_W_NAME else f"value of header {name!r}: {value!r}"
            raise ValueError(f"Invalid {what}")
        if field.kind == H1_K_DATE:
            self.has_date = True
        elif field.kind == H1_K_SERVER:
            self.has_server = True
        elif field.kind == H1_K_CODING:
            return 0
        elif field.kind == H1_K_CONNECTION:
            self.close = self.close or h1_connection(field.value, field.value_length) & H1_CLOSE
            return 0
        elif field.kind == H1_K_LENGTH:
            length = h1_decimal(field.value, field.value_length)
            if length < 0:
                raise ValueError(f"Invalid content-length: {value!r}")
            if self.content_length >= 0 and self.content_length != length:
                raise ValueError("Two content-length headers that differ")
            if omit_length or self.content_length >= 0:
                self.content_length = length
                return 0
            self.content_length = length
        self.reserve(field.name_length + field.value_length + 4)
        self.used += h1_write_field(self.buffer + self.used, &field)
        return 0

    cdef int reserve(self, size_t more) except -1:
        cdef uint8_t* bigger
        if self.capacity - self.used < more:
            bigger = <uint8_t*>PyMem_Realloc(self.buffer, 2 * (self.used + more) + 512)
            if bigger == NULL:
                raise MemoryError()
            self.buffer = bigger
            self.capacity = 2 * (self.used + more) + 512
        return 0


cpdef bytes encode_chunk(bytes data, bint last=False):
    cdef size_t n, value, digits = 1
    cdef bytes made
    cdef char* p
    if data is None:
        raise TypeError("encode_chunk() takes bytes")
    n = value = PyBytes_GET_SIZE(data)
    if n == 0:
        return b"0\r\n\r\n" if last else _EMPTY
    while value > 15:
        value >>= 4
        digits += 1
    made = PyBytes_FromStringAndSize(NULL, digits + n + 4 + (5 if last else 0))
    p = PyBytes_AS_STRING(made)
    for value in range(digits):
        p[value] = b"0123456789abcdef"[(n >> 4 * (digits - 1 - value)) & 15]
    p += digits
    memcpy(p, b"\r\n", 2)
    memcpy(p + 2, PyBytes_AS_STRING(data), n)
    memcpy(p + 2 + n, b"\r\n0\r\n\r\n", 7 if last else 2)
    return made


cpdef bytes encode_last_chunk(bytes trailers):
    return b"0\r\n" + trailers + b"\r\n"


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
