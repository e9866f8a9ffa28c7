# twin of websocket.py
"""WebSocket frames (RFC 6455) as bytes: the compiled twin. The contract stands in the docstrings of websocket.py."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.string cimport memcpy, memset

from hypercorn.wire.frames import ERRORS, InflateError, MessageTooLarge

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject** data, Py_ssize_t size) except -1

__all__ = (
    "CLOSE", "ERROR", "HELD", "MESSAGE", "NEED_DATA", "PING", "PONG", "FrameParser",
    "encode_close", "encode_compressed", "encode_fragment", "encode_message", "encode_ping", "encode_pong",
    "is_close_code",
)

NEED_DATA, MESSAGE, PING, PONG, CLOSE, ERROR, HELD = range(7)

cdef enum:
    _NEED_DATA = 0, _MESSAGE = 1, _PING = 2, _PONG = 3, _CLOSE = 4, _ERROR = 5, _HELD = 6
    _GO_ON = 7, _MALFORMED = 16  # 16 and more: an error, by its number
    _TEXT = 1, _BINARY = 2, _OP_CLOSE = 8, _OP_PING = 9
    _SMALL = 4096  # bytes of text that are unmasked on the stack
    _ROOM = 65536  # bytes of a message that are allocated before they have arrived
    _KEEP = 65536  # bytes up to which the last message is kept
    _INFLATE = 65536  # bytes of a compressed message that are decompressed before its end

cdef bytes _EMPTY = b""
# The message that was encoded last, and its frame: a broadcast sends it again. One object, as other threads replace it too.
cdef list _last = [(None, b"")]


cdef class FrameParser:
    """Reads a client's frames and puts its messages together; see websocket.py."""

    def __cinit__(self):
        self.control = NULL
        self.base = NULL
        memset(&self.utf8, 0, sizeof(self.utf8))

    def __init__(self, long long max_message_size=0, long long max_frame_size=0, inflater=None):
        self.max_message_size = max_message_size
        self.max_frame_size = max_frame_size
        self.inflater = inflater
        self.message = self.payload = _EMPTY
        self.reason = ""

    def __dealloc__(self):
        PyMem_Free(self.control)

    cpdef Py_ssize_t buffered(self) noexcept:
        return self.stashed + self.length - self.pos

    cpdef feed(self, bytes data):
        if data is None:
            raise TypeError("feed() takes bytes")
        if self.ended:
            return
        if self.pos < self.length:
            data = self.data[self.pos :] + data
        self.data = data
        self.base = <const uint8_t*>PyBytes_AS_STRING(data)
        self.pos = 0
        self.length = PyBytes_GET_SIZE(data)

    cpdef int next_event(self) except -1:
        cdef int event = _GO_ON
        self.message = _EMPTY
        while event == _GO_ON:
            if self.ended:
                return _NEED_DATA
            if not self.in_frame:
                if self.hold and self.pos < self.length:
                    if (self.stash[0] if self.stashed else self.base[self.pos]) & WS_OPCODE < _OP_CLOSE:
                        return _HELD
                event = self.header()
                if event != _GO_ON:
                    break
            event = self.take()
        if event >= _MALFORMED:
            return self.fail(event - _MALFORMED)
        if self.pos == self.length:
            self.data = None
            self.pos = self.length = 0
        return event

    cdef int header(self) except -1:
        """Reads a frame's header: _GO_ON where it is whole and allowed."""
        cdef size_t rest = self.length - self.pos
        cdef size_t more
        cdef int used
        if rest == 0:  # there may be no buffer to copy from
            return _NEED_DATA
        if self.stashed == 0:
            used = ws_header(self.base + self.pos, rest, &self.frame)
            if used == 0:
                memcpy(self.stash, self.base + self.pos, rest)
                self.stashed = <int>rest
                self.pos = self.length
        else:
            more = min(rest, <size_t>(WS_HEADER_MAX - self.stashed))
            memcpy(self.stash + self.stashed, self.base + self.pos, more)
            used = ws_header(self.stash, self.stashed + more, &self.frame)
            if used == 0:
                self.stashed += <int>more
                self.pos = self.length
            elif used > 0:
                used -= self.stashed
                self.stashed = 0
        if used == 0:
            return _NEED_DATA
        if used < 0:
            return _MALFORMED - used
        self.pos += used
        used = self.judge()
        if used:
            return _MALFORMED + used
        self.in_frame = True
        self.done = 0
        return _GO_ON

    cdef int judge(self) noexcept:
        """Whether this frame may come here, else an error; opens a message."""
        cdef int opcode = self.frame.first & WS_OPCODE
        cdef int reserved = self.frame.first & (WS_RSV1 | WS_RSV2 | WS_RSV3)
        cdef bint compressed = reserved == WS_RSV1 and 0 < opcode < _OP_CLOSE and self.inflater is not None
        if reserved and not compressed:
            return WS_E_RSV
        if opcode >= _OP_CLOSE:
            return 0
        if (opcode == 0) != (self.opcode != 0):
            return WS_E_INTERRUPTED if opcode else WS_E_CONTINUATION
        if self.max_frame_size and self.frame.length > <uint64_t>self.max_frame_size:
            return WS_E_FRAME_LARGE
        # Neither summand reaches 2^63, so the sum does not wrap.
        if self.max_message_size and self.size + self.frame.length > <uint64_t>self.max_message_size:
            return WS_E_MESSAGE_LARGE
        if self.size + self.frame.length >> 62:
            return WS_E_MESSAGE_LARGE
        self.size += self.frame.length
        if opcode:
            self.opcode = opcode
            self.compressed = compressed
            self.have = 0
            memset(&self.utf8, 0, sizeof(self.utf8))
        return 0

    cdef int take(self) except -1:
        """Takes what has arrived of a payload: an event, _GO_ON where the next frame can be read, or an error."""
        cdef size_t rest = self.length - self.pos
        cdef uint64_t left = self.frame.length - self.done
        cdef const uint8_t* p = self.base + self.pos
        cdef int opcode = self.frame.first & WS_OPCODE
        cdef int error
        cdef uint8_t plain[125]
        if rest > left:
            rest = <size_t>left
        if opcode >= _OP_CLOSE:
            if rest == left and self.done == 0:
                ws_mask(plain, p, rest, self.frame.mask, 0)
                self.pos += rest
                self.in_frame = False
                return self.control_event(plain, rest)
            if self.control == NULL:
                self.control = <uint8_t*>PyMem_Malloc(125)
                if self.control == NULL:
                    raise MemoryError
            ws_mask(self.control + self.done, p, rest, self.frame.mask, self.done)
            self.pos += rest
            self.done += rest
            if rest < left:
                return _NEED_DATA
            self.in_frame = False
            memcpy(plain, self.control, <size_t>self.done)
            PyMem_Free(self.control)
            self.control = NULL
            return self.control_event(plain, <size_t>self.done)
        if rest == left and self.frame.first & WS_FIN and self.done == 0 and self.have == 0:
            return self.whole()
        error = self.keep(p, rest)
        if error:
            return _MALFORMED + error
        self.pos += rest
        self.done += rest
        if rest < left:
            return _NEED_DATA
        self.in_frame = False
        return self.message_end() if self.frame.first & WS_FIN else _GO_ON

    cdef int whole(self) except -1:
        """A message in one frame that has arrived as a whole."""
        cdef size_t n = <size_t>self.frame.length
        cdef const uint8_t* p = self.base + self.pos
        cdef uint8_t plain[_SMALL]
        cdef bytes data
        cdef int opcode = self.opcode
        self.in_frame = False
        self.pos += n
        self.size = 0
        if opcode == _TEXT and n <= _SMALL and not self.compressed:
            self.opcode = 0
            ws_mask(plain, p, n, self.frame.mask, 0)
            try:
                self.message = PyUnicode_DecodeUTF8(<const char*>plain, n, NULL)
            except UnicodeDecodeError:
                return _MALFORMED + WS_E_UTF8
            return _MESSAGE
        data = PyBytes_FromStringAndSize(NULL, n)
        ws_mask(<uint8_t*>PyBytes_AS_STRING(data), p, n, self.frame.mask, 0)
        if self.compressed:
            return self.inflate(data)
        self.opcode = 0
        if opcode == _BINARY:
            self.message = data
            return _MESSAGE
        try:
            self.message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), n, NULL)
        except UnicodeDecodeError:
            return _MALFORMED + WS_E_UTF8
        return _MESSAGE

    cdef int keep(self, const uint8_t* p, size_t n) except -1:
        """Appends to the message; text is validated as it comes. An error or 0."""
        cdef uint8_t* to
        if n == 0:
            return 0
        self.reserve(n)
        to = <uint8_t*>PyBytes_AS_STRING(self.pieces) + self.have
        ws_mask(to, p, n, self.frame.mask, self.done)
        self.have += n
        if self.compressed:
            return self.inflate_piece() if self.have >= _INFLATE else 0
        if self.opcode == _TEXT and not ws_utf8(&self.utf8, to, n):
            return WS_E_UTF8
        return 0

    cdef int reserve(self, size_t more) except -1:
        """Room for more of the message: some of what is announced, and never much more than has arrived."""
        cdef size_t need = self.have + more
        cdef uint64_t ahead = self.frame.length - self.done + self.have
        cdef size_t room
        if self.pieces is None:
            room = need if ahead <= need else <size_t>min(ahead, <uint64_t>max(need, <size_t>_ROOM))
            self.pieces = PyBytes_FromStringAndSize(NULL, room)
        elif <size_t>PyBytes_GET_SIZE(self.pieces) < need:
            room = 2 * need
            if self.frame.first & WS_FIN and ahead < room:
                room = <size_t>ahead
            self.resize(max(room, need))
        return 0

    cdef resize(self, size_t room):
        """Makes the buffer larger or smaller, in place where the allocator can; nobody else has it."""
        cdef PyObject* data
        pieces = self.pieces
        self.pieces = None
        data = <PyObject*>pieces
        Py_INCREF(pieces)
        pieces = None  # one reference is left: that of `data`
        _PyBytes_Resize(&data, room)
        self.pieces = <bytes>data
        Py_DECREF(self.pieces)

    cdef int message_end(self) except -1:
        """The last frame of a message has ended."""
        cdef bytes data
        if self.opcode == _TEXT and not self.compressed and self.utf8.need:
            return _MALFORMED + WS_E_UTF8
        self.size = 0
        if self.have == 0:
            data = _EMPTY
        else:
            if <size_t>PyBytes_GET_SIZE(self.pieces) != self.have:
                self.resize(self.have)
            data = self.pieces
        self.pieces = None
        self.have = 0
        if self.compressed:
            return self.inflate(data)
        if self.opcode == _TEXT:
            self.message = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), NULL)
        else:
            self.message = data
        self.opcode = 0
        return _MESSAGE

    cdef int inflate_piece(self) except -1:
        """Decompresses what has arrived: not all of a long message at once. An error or 0."""
        cdef bytes data = self.pieces[: self.have]
        self.pieces = None
        self.have = 0
        try:
            self.inflater.inflate_piece(data, self.max_message_size)
        except MessageTooLarge:
            return WS_E_MESSAGE_LARGE
        except InflateError:
            return WS_E_DEFLATE
        return 0

    cdef int inflate(self, bytes data) except -1:
        """The end of a compressed message."""
        cdef bytes plain
        cdef bint text = self.opcode == _TEXT
        self.opcode = 0
        try:
            plain = self.inflater.inflate(data, self.max_message_size)
            self.message = plain.decode() if text else plain
        except UnicodeDecodeError:
            return _MALFORMED + WS_E_UTF8
        except MessageTooLarge:
            return _MALFORMED + WS_E_MESSAGE_LARGE
        except InflateError:
            return _MALFORMED + WS_E_DEFLATE
        return _MESSAGE

    cdef int control_event(self, const uint8_t* p, size_t n) except -1:
        cdef int opcode = self.frame.first & WS_OPCODE
        cdef int code
        if opcode != _OP_CLOSE:
            self.payload = PyBytes_FromStringAndSize(<const char*>p, n)
            return _PING if opcode == _OP_PING else _PONG
        self.code = 1005
        self.reason = ""
        if n == 1:
            return _MALFORMED + WS_E_CLOSE_SHORT
        if n:
            code = p[0] << 8 | p[1]
            if not ws_close_code(code):
                return _MALFORMED + WS_E_CLOSE_CODE
            try:
                self.reason = PyUnicode_DecodeUTF8(<const char*>p + 2, n - 2, NULL)
            except UnicodeDecodeError:
                return _MALFORMED + WS_E_UTF8
            self.code = code
        self.end()
        return _CLOSE

    cdef int fail(self, int error) except -1:
        self.code, self.reason = ERRORS[error]
        self.end()
        return _ERROR

    cdef void end(self) noexcept:
        """Nothing more is read."""
        self.ended = True
        self.data = None
        self.pieces = None
        self.pos = self.length = 0
        self.stashed = 0


cpdef bint is_close_code(unsigned code):
    return ws_close_code(code)


cdef bytes frame(int first, const char* payload, Py_ssize_t size):
    """One frame of a server."""
    cdef uint8_t head[10]
    cdef int used = ws_write_header(head, <uint8_t>first, <uint64_t>size)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, used + size)
    cdef char* to = PyBytes_AS_STRING(made)
    memcpy(to, head, used)
    memcpy(to + used, payload, size)
    return made


cpdef bytes encode_message(message):
    cdef tuple last = <tuple>_last[0]
    cdef Py_ssize_t size
    cdef const char* text
    cdef bytes made
    if message is last[0] and message is not None:
        return <bytes>last[1]
    if type(message) is str:
        text = PyUnicode_AsUTF8AndSize(message, &size)
        made = frame(0x81, text, size)
    elif type(message) is bytes:
        size = PyBytes_GET_SIZE(<bytes>message)
        made = frame(0x82, PyBytes_AS_STRING(<bytes>message), size)
    else:
        raise TypeError("encode_message() takes str or bytes")
    if size <= _KEEP:
        _last[0] = (message, made)
    return made


cpdef bytes encode_compressed(bytes data, bint text):
    return frame(0xC1 if text else 0xC2, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cpdef bytes encode_fragment(bytes data, bint text, bint first, bint last):
    cdef int head = WS_FIN if last else 0
    if first:
        head |= WS_RSV1 | (_TEXT if text else _BINARY)
    return frame(head, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


cpdef bytes encode_ping(bytes payload=b""):
    return control_frame(0x89, payload)


cpdef bytes encode_pong(bytes payload):
    return control_frame(0x8A, payload)


cpdef bytes encode_close(int code, str reason=""):
    cdef bytes text
    if code == 1005:
        return b"\x88\x00"
    text = reason.encode("utf-8", "replace")
    if len(text) > 123:
        text = text[:123].decode("utf-8", "ignore").encode()
    return control_frame(0x88, bytes((code >> 8 & 255, code & 255)) + text)


cdef bytes control_frame(int first, bytes payload):
    if len(payload) > 125:
        raise ValueError("the payload of a control frame is at most 125 bytes")
    return frame(first, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))
