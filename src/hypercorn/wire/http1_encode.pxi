# part of http1.pyx
# The part of http1.pyx that writes: header fields, chunks, whole responses.

cdef extern from "Python.h":
    bint PyTuple_CheckExact(PyObject* o)
    bint PyBytes_Check(PyObject* o)
    PyObject* PyTuple_GET_ITEM(PyObject* o, Py_ssize_t i)
    Py_ssize_t PyTuple_GET_SIZE(PyObject* o)
    Py_ssize_t Py_SIZE(PyObject* o)
    PyObject** PySequence_Fast_ITEMS(object o)
    char* _AS_STRING "PyBytes_AS_STRING"(PyObject* o)

cdef enum:
    _ANSWERS = 32  # heads of responses that an encoder remembers
    _ANSWER_PAIRS = 32  # fields of one
    _ANSWER_BYTES = 1024  # of its names and values
    _ANSWER_AGE = 8  # others in its place that it outlives


@cython.final
cdef class Answer:
    """Header fields that an application gave, and what was made of them. The same fields, compared by what they are
    and not by the list that they came in, give the same bytes."""

    cdef tuple parts  # names and values in turn
    cdef bytes made
    cdef int64_t content_length
    cdef bint close, has_date, has_server, omit_length
    cdef int age

    cdef bint matches(self, PyObject** pairs, Py_ssize_t n) noexcept:
        cdef PyObject* parts = <PyObject*>self.parts
        cdef Py_ssize_t i
        if PyTuple_GET_SIZE(parts) != 2 * n:
            return False
        for i in range(n):
            if not PyTuple_CheckExact(pairs[i]) or PyTuple_GET_SIZE(pairs[i]) != 2:
                return False
            if not _same(PyTuple_GET_ITEM(pairs[i], 0), PyTuple_GET_ITEM(parts, 2 * i)):
                return False
            if not _same(PyTuple_GET_ITEM(pairs[i], 1), PyTuple_GET_ITEM(parts, 2 * i + 1)):
                return False
        return True


cdef inline bint _same(PyObject* given, PyObject* known) noexcept:
    """`known` is bytes."""
    return given == known or (
        PyBytes_Check(given)
        and Py_SIZE(given) == Py_SIZE(known)
        and memcmp(_AS_STRING(given), _AS_STRING(known), Py_SIZE(given)) == 0
    )


cdef inline Py_ssize_t _answer_slot(PyObject** pairs, Py_ssize_t n) noexcept:
    """The index at which fields like these are looked up; -1 where they are not of the kind that is remembered."""
    cdef PyObject* last = pairs[n - 1]
    if not PyTuple_CheckExact(last) or PyTuple_GET_SIZE(last) != 2 or not PyBytes_Check(PyTuple_GET_ITEM(last, 1)):
        return -1
    return (11 * n + Py_SIZE(PyTuple_GET_ITEM(last, 1))) % _ANSWERS


cdef bint _is_plain(object headers) except -1:
    """True where going through header fields runs no code of the application's."""
    if type(headers) is not list and type(headers) is not tuple:
        return False
    for item in headers:
        if type(item) is not tuple and type(item) is not list:
            return False
    return True


cdef class FieldEncoder:
    """Writes the header fields of responses; see http1.py."""

    def __cinit__(self):
        self.answers = [None] * _ANSWERS
        self.buffer = NULL
        self.content_length = -1

    def __dealloc__(self):
        PyMem_Free(self.buffer)

    cpdef bytes encode(self, headers, bint omit_length=False):
        cdef Py_ssize_t index = 0
        cdef Py_ssize_t n, slot = -1
        cdef bytes made
        cdef Answer answer
        if type(headers) is list or type(headers) is tuple:
            n = len(headers)
            if 0 < n <= _ANSWER_PAIRS:
                slot = _answer_slot(PySequence_Fast_ITEMS(headers), n)
        if slot >= 0:
            answer = <Answer>PyList_GET_ITEM(self.answers, slot)
            if (
                answer is not None
                and answer.omit_length == omit_length
                and answer.matches(PySequence_Fast_ITEMS(headers), n)
            ):
                answer.age = 0
                self.content_length = answer.content_length
                self.close = answer.close
                self.has_date = answer.has_date
                self.has_server = answer.has_server
                return answer.made
        if not _is_plain(headers):
            headers = [tuple(item) if isinstance(item, (tuple, list)) else item for item in headers]
        self.used = 0
        self.content_length = -1
        self.close = self.has_date = self.has_server = False
        for item in headers:  # no code of an application runs from here on, which might call this once more
            self.pair(item, index, omit_length)
            index += 1
        made = _slice(self.buffer, self.used)
        if self.capacity > _KEPT:
            PyMem_Free(self.buffer)
            self.buffer = NULL
            self.capacity = 0
        if slot >= 0:
            self.remember(slot, headers, made, omit_length)
        return made

    cdef int remember(self, Py_ssize_t slot, object headers, bytes made, bint omit_length) except -1:
        """Keeps what was made, unless another has the place that was wanted a short while ago."""
        cdef Answer answer = <Answer>PyList_GET_ITEM(self.answers, slot)
        cdef Py_ssize_t size = 0
        if answer is not None and answer.age < _ANSWER_AGE:
            answer.age += 1
            return 0
        for pair in headers:
            if type(pair) is not tuple:
                return 0
            for part in pair:
                if type(part) is not bytes:
                    return 0
                size += len(part)
                if size > _ANSWER_BYTES:
                    return 0
        answer = Answer.__new__(Answer)
        answer.parts = tuple([part for pair in headers for part in pair])
        answer.made = made
        answer.content_length = self.content_length
        answer.close = self.close
        answer.has_date = self.has_date
        answer.has_server = self.has_server
        answer.omit_length = omit_length
        self.answers[slot] = answer
        return 0

    cdef int pair(self, object item, Py_ssize_t index, bint omit_length) except -1:
        cdef h1_field field
        cdef int code
        cdef int64_t length
        if (type(item) is not tuple and type(item) is not list) or len(item) != 2:
            raise TypeError(f"Header {index} is not a pair (bytes, bytes)")
        name, value = item
        if type(name) is bytearray or type(name) is memoryview:
            name = bytes(name)
        if type(value) is bytearray or type(value) is memoryview:
            value = bytes(value)
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
                raise ValueError(f"Invalid content-length: {_slice(field.value, field.value_length)!r}")
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
