# types of websocket.py
cimport cython

from hypercorn.objects cimport part_of
from hypercorn.wire.octets cimport Octets
from hypercorn.wire.primitives cimport frame, unmask, unmask_text

cdef int NEED_DATA, MESSAGE, PING, PONG, CLOSE, ERROR, HELD, NEXT_FRAME
cdef int FIN, RSV, RSV1, CONTINUATION, TEXT, BINARY, CONTROL, OP_CLOSE, OP_PING
cdef int E_CLOSE_CODE, E_CLOSE_SHORT, E_CONTINUATION, E_CONTROL_FIN, E_CONTROL_LONG, E_DEFLATE, E_FRAME_LARGE
cdef int E_INTERRUPTED, E_LENGTH, E_MASK, E_MESSAGE_LARGE, E_OPCODE, E_RSV, E_UTF8
cdef Py_ssize_t HEADER_BYTES, INFLATED_BYTES, KEPT_BYTES
cdef list _last


@cython.final
cdef class FrameParser:
    cdef readonly long long max_message_size, max_frame_size
    cdef readonly object inflater
    cdef public bint hold
    cdef readonly object message
    cdef readonly bytes payload
    cdef readonly int code
    cdef readonly str reason

    # input: _data[_pos:_end] was not looked at
    cdef bytes _data, _cut
    cdef Py_ssize_t _pos, _end
    cdef bint _ended

    # the frame
    cdef bint _in_frame
    cdef int _first
    cdef unsigned int _mask
    cdef unsigned long long _taken, _left
    cdef bytes _control

    # the message
    cdef int _opcode
    cdef bint _compressed
    cdef unsigned long long _size
    cdef Octets _pieces
    cdef object _decoder

    cpdef Py_ssize_t buffered(self)
    cpdef feed(self, bytes data)
    @cython.locals(event=int)
    cpdef int next_event(self) except -1
    @cython.locals(event=int, first=int)
    cdef int _next(self) except -1
    @cython.locals(source=bytes, start=Py_ssize_t, end=Py_ssize_t, held=Py_ssize_t, used=Py_ssize_t)
    @cython.locals(length="unsigned long long")
    cdef bint _read_header(self) except -1
    @cython.locals(opcode=int, reserved=int, compressed=bint, size="unsigned long long")
    cdef _check(self, int first, unsigned long long length)
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, plain=bytes, offset="unsigned long long", ends=bint)
    cdef int _read_payload(self) except -1
    cdef int _text_event(self, Py_ssize_t start, Py_ssize_t end, unsigned long long offset) except -1
    cdef _keep(self, bytes plain)
    cdef _check_text(self, bytes plain, bint final)
    @cython.locals(payload=bytes, code=int)
    cdef int _control_event(self, int opcode) except -1
    @cython.locals(opcode=int)
    cdef int _message_event(self, bytes plain) except -1
    cdef _inflate_piece(self)
    @cython.locals(plain=bytes)
    cdef _inflate(self, bytes data, int opcode)
    cdef _forget(self)
    cdef _close(self)


@cython.locals(opcode=int, length="unsigned long long")
cdef Py_ssize_t header_length(bytes data, Py_ssize_t start, Py_ssize_t end) except -1
@cython.locals(length="unsigned long long", i=Py_ssize_t)
cdef unsigned long long payload_length(bytes data, Py_ssize_t start)
cpdef bint is_close_code(unsigned int code)
@cython.locals(last=tuple, made=bytes)
cpdef bytes encode_message(object message)
cpdef bytes encode_compressed(bytes data, bint text)
@cython.locals(opcode=int)
cpdef bytes encode_fragment(bytes data, bint text, bint first, bint last)
cpdef bytes encode_ping(bytes payload=*)
cpdef bytes encode_pong(bytes payload)
@cython.locals(text=bytes)
cpdef bytes encode_close(int code, str reason=*)
cdef bytes control_frame(int first, bytes payload)
