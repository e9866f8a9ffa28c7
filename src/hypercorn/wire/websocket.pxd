# types of websocket.pyx
cimport cython
from libc.stdint cimport uint8_t, uint64_t


cdef extern from "websocket.h":
    enum:
        WS_HEADER_MAX, WS_E_RSV, WS_E_CONTINUATION, WS_E_INTERRUPTED, WS_E_CLOSE_SHORT, WS_E_CLOSE_CODE, WS_E_UTF8
        WS_E_FRAME_LARGE, WS_E_MESSAGE_LARGE, WS_E_DEFLATE, WS_FIN, WS_RSV1, WS_RSV2, WS_RSV3, WS_OPCODE
    ctypedef struct ws_frame "struct ws_frame":
        uint64_t length
        uint8_t first
        uint8_t mask[4]
    ctypedef struct ws_utf8_t "struct ws_utf8":
        uint8_t need, low, high
    int ws_header(const uint8_t* p, size_t n, ws_frame* out) noexcept nogil
    void ws_mask(uint8_t* to, const uint8_t* p, size_t n, const uint8_t* mask, uint64_t offset) noexcept nogil
    int ws_utf8(ws_utf8_t* state, const uint8_t* p, size_t n) noexcept nogil
    int ws_close_code(unsigned code) noexcept nogil
    int ws_write_header(uint8_t* to, uint8_t first, uint64_t length) noexcept nogil


@cython.final
cdef class FrameParser:
    cdef readonly long long max_message_size, max_frame_size
    cdef readonly object inflater
    cdef public bint hold
    cdef readonly object message
    cdef readonly bytes payload
    cdef readonly int code
    cdef readonly str reason

    # input: base[pos:length] lies in `data`
    cdef bytes data
    cdef const uint8_t* base
    cdef size_t pos, length
    cdef uint8_t stash[14]
    cdef int stashed
    cdef bint ended

    # the frame
    cdef bint in_frame
    cdef ws_frame frame
    cdef uint64_t done  # of its payload
    cdef uint8_t* control  # payload of a control frame that was cut

    # the message
    cdef int opcode  # 0: none is open
    cdef bint compressed
    cdef uint64_t size  # announced so far
    cdef bytes pieces  # what has arrived, with room behind
    cdef size_t have
    cdef ws_utf8_t utf8

    cpdef Py_ssize_t buffered(self) noexcept
    cpdef feed(self, bytes data)
    cpdef int next_event(self) except -1
    cdef int header(self) except -1
    cdef int judge(self) noexcept
    cdef int take(self) except -1
    cdef int whole(self) except -1
    cdef int keep(self, const uint8_t* p, size_t n) except -1
    cdef int reserve(self, size_t more) except -1
    cdef resize(self, size_t room)
    cdef int message_end(self) except -1
    cdef int inflate_piece(self) except -1
    cdef int inflate(self, bytes data) except -1
    cdef int control_event(self, const uint8_t* p, size_t n) except -1
    cdef int fail(self, int error) except -1
    cdef void end(self) noexcept


cpdef bint is_close_code(unsigned code)
cpdef bytes encode_message(message)
cpdef bytes encode_compressed(bytes data, bint text)
cpdef bytes encode_fragment(bytes data, bint text, bint first, bint last)
cpdef bytes encode_ping(bytes payload=*)
cpdef bytes encode_pong(bytes payload)
cpdef bytes encode_close(int code, str reason=*)
