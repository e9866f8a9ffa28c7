cimport cython

from hypercorn.objects cimport same_text
from hypercorn.protocol.http2.life cimport HTTP2Life
from hypercorn.protocol.mux.stream cimport HTTP2Stream
from hypercorn.protocol.ports cimport Context, Stream, Transport
from hypercorn.wire.http2_head cimport HTTP2Head

cdef int CONTROLS, EMPTY, GLITCHES, CANCEL, PROTOCOL_ERROR
cdef Py_ssize_t USEFUL

cdef class HTTP2Requests(HTTP2Life):
    cdef public dict priorities

    cpdef HTTP2Stream new_stream(self, unsigned int stream_id, long long window)
    cpdef withdraw(self, HTTP2Stream stream)
    @cython.locals(stream=HTTP2Stream)
    cpdef HTTP2Stream open_stream(self, unsigned int stream_id, HTTP2Head head)
    @cython.locals(exchange=Stream)
    cpdef begin_call(self, HTTP2Stream stream)
    @cython.locals(stream=HTTP2Stream)
    cpdef answer_early(self, unsigned int stream_id, HTTP2Head head, int status, bint complete, str reason=*)
    @cython.locals(size=Py_ssize_t, announced="long long", limit="long long")
    cpdef piece_received(self, HTTP2Stream stream, bytes data, bint end)
    @cython.locals(exchange=Stream)
    cpdef request_complete(self, HTTP2Stream stream, bytes data)
    cpdef too_large(self, HTTP2Stream stream)
