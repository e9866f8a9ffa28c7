# types of ports.py
cimport cython

from hypercorn.objects cimport part_of
from hypercorn.protocol.limits cimport Limits
from hypercorn.protocol.records cimport Records
from hypercorn.protocol.response_fields cimport ResponseFields
from hypercorn.protocol.runtime cimport Runtime
from hypercorn.wire.head cimport RequestHead
from hypercorn.wire.http1 cimport FieldMemory
from hypercorn.wire.writing cimport FieldEncoder
from hypercorn.wire.http2_writer cimport FieldLines

cdef Py_ssize_t GATHER_BYTES, QUICK_STEPS
cdef int NO_TURN, IN_TURN, DEFERRED
cdef double GATHER_SECONDS, TURN_SECONDS

cdef class Transport:
    cdef public Runtime runtime
    cdef public Connection connection
    cdef public list out
    cdef public Py_ssize_t out_size
    cdef public Py_ssize_t gather
    cdef public int turn
    cdef public bint end_turn_scheduled
    cdef public bint reading_paused, writing_paused
    cdef public bint end_turn_wanted
    cdef public double turn_at
    cdef public double flushed_at
    cdef public object client
    cdef public object server
    cdef public str scheme
    cdef public object scope_template
    cdef public dict tls
    cdef public bint trusted
    @cython.locals(predecessor=Connection)
    cpdef hand_over(self, Connection successor, bytes rest=*)
    @cython.locals(connection=Connection)
    cpdef received(self, bytes data)
    cpdef write(self, bytes data)
    cpdef write_part(self, bytes data, Py_ssize_t start, Py_ssize_t stop)
    cdef gathered(self, Py_ssize_t size)
    cpdef pause_output(self)
    cpdef resume_output(self)
    cpdef bint begin_turn(self) except -1
    cpdef bint turn_is_over(self) except -1
    cpdef turn_soon(self)
    cpdef next_turn(self)
    @cython.locals(slow=bint, quick=bint, waited=double)
    cpdef after_write(self, bint began, bint last)
    cpdef bint is_shared(self) except -1
    cpdef flush_early(self)
    cpdef bint begin_in_batch(self, Exchange exchange) except -1
    cpdef end_turn_soon(self)
    cpdef end_turn(self)
    cpdef flush(self)
    cpdef send_bytes(self, bytes data)
    cpdef bint send_file(self, int fd, long long offset, long long count) except -1
    cpdef long long unsent(self) except -1
    cpdef close(self)
    cpdef abort(self)
    @cython.locals(connection=Connection)
    cpdef set_deadline(self, double when)
    cpdef call_ended(self, Exchange exchange)
    cpdef write_eof(self)
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cpdef get_extra_info(self, str name)

cdef class Connection:
    cdef public Transport transport
    cdef public Context context
    cdef public double deadline
    cdef public Py_ssize_t answered
    cpdef data_received(self, bytes data)
    cpdef take_over(self, bytes rest)
    cpdef detached(self)
    cpdef eof_received(self)
    cpdef connection_lost(self)
    cpdef pause_writing(self)
    cpdef resume_writing(self)
    cpdef turn_ended(self)
    cpdef flush_output(self)
    cpdef bint is_multiplexed(self) except -1
    cpdef expired(self, double now)
    cpdef shutdown(self)
    cpdef abort(self)
    cpdef long long start(self, Exchange exchange, int status, headers, bint trailers) except? -2
    cpdef end_after(self, Exchange exchange)
    cpdef bint writing_blocked(self, Exchange exchange) except -1
    cpdef bint body(self, Exchange exchange, bytes data, bint end) except -1
    cpdef announce(self, Exchange exchange, long long length)
    cpdef bint send_file(self, Exchange exchange, int fd, long long offset, long long count, bint end) except -1
    cpdef trailers(self, Exchange exchange, headers, bint end)
    cpdef hint(self, Exchange exchange, headers)
    cpdef push(self, Exchange exchange, bytes authority, str path, headers)
    cpdef int reset(self, Exchange exchange) except -1
    cpdef Connection accept(self, Exchange exchange, headers, extension)
    cpdef body_wanted(self, Exchange exchange)
    cpdef body_consumed(self, Exchange exchange, Py_ssize_t size)
    cpdef finished(self, Exchange exchange)

cdef class Exchange:
    cdef public Connection connection
    cpdef begin(self)
    cpdef bint body_received(self, bytes data, bint complete) except -1
    cpdef trailers_received(self, list fields)
    cpdef disconnected(self, int status)
    cpdef peer_closed(self)
    cpdef bint may_be_slow(self) except -1
    cpdef writable(self)
    cpdef bint message_received(self, message) except -1
    cpdef bint pending(self) except -1
    cpdef resume(self)
    cpdef closed(self, int code, str reason)

cdef class Context:
    cdef public Runtime runtime
    cdef public Limits limits
    cdef public ResponseFields response_fields
    cdef public Records records
    cdef public FieldEncoder encoder
    cdef public FieldMemory field_memory
    cdef public FieldLines fields
    cdef public bint terminating
    cdef public bint keep_case
    cdef public bint http2, h2c_upgrade
    cdef public object websocket
    cdef public frozenset server_names
    cdef public double next_sweep
    cpdef bint serves(self, bytes host) except -1
    cpdef Exchange open_http(self, Connection connection, RequestHead head)
    cpdef refused(self, Connection connection, RequestHead head, int status, str reason)
    cpdef Exchange open_websocket(self, Connection connection, RequestHead head, handshake)
    cpdef replaced(self, Connection connection, Connection successor)
    cpdef arm(self, double deadline)
