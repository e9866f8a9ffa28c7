"""The reactor: all sockets of a worker behind one descriptor, which the user's loop watches.

The reactor's poller (epoll or kqueue) holds the listeners and every client's socket. It is a descriptor itself: when it
is readable, the loop calls `turn` once, and one turn takes the whole batch of ready sockets from their bytes to the
application and back. So the loop's own price is paid once for a batch, whatever the loop is.

A turn is bounded, in sockets and in bytes for each, so that other tasks of the loop get theirs; what is left makes the
descriptor readable again. Nothing here blocks, and no error of one socket leaves its handler.
"""

import os
import socket as sockets
import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.errno cimport EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdlib cimport free, malloc

from hypercorn.protocol.ports cimport Connection, Runtime, Transport
from posix.types cimport off_t

from hypercorn.runtime.poller cimport *

cdef extern from "Python.h":
    PyObject* PyBytes_FromStringAndSize(const char* data, Py_ssize_t size) except NULL
    int _PyBytes_Resize(PyObject** data, Py_ssize_t size) except -1

cdef enum:
    BUFFER = 262144  # bytes read from one socket in a turn
    ACCEPTS = 64  # connections accepted from one listener in a turn
    PIECES = 64  # pieces given to the kernel in one call
    FILE_PIECE = 1048576  # bytes of a file sent to one socket in a turn
    BULK = 32768  # bytes in one read that tell of more to come
    JOIN = 4096  # bytes up to which joining pieces is cheaper than a list of them

cdef bint HAS_SENDFILE = sys.platform == "linux"
ACCEPT_PAUSE = 1.0  # seconds without accepting when descriptors have run out


def available():
    """True where this platform has a poller that a loop can watch."""
    return HC_HAS_POLLER == 1


cdef class Reactor:
    """One poller and the buffer that all its sockets are read into.

    `runtime` is the loop it lives on; `log` takes what should not happen.
    """

    cdef readonly int fd
    cdef public Runtime runtime
    cdef public object log
    cdef readonly set open  # every transport, so that it lives while its socket is open
    cdef list dead  # transports whose connections have not been told yet
    cdef list waiting  # transports whose own turn is to end soon
    cdef bint ending, turning, burying
    cdef char* buffer
    cdef hc_event events[HC_MAX_EVENTS]

    def __cinit__(self):
        self.fd = -1
        self.buffer = <char*>malloc(BUFFER)
        if self.buffer is NULL:
            raise MemoryError

    def __init__(self, Runtime runtime, log):
        self.runtime = runtime
        self.log = log
        self.open = set()
        self.dead = []
        self.waiting = []
        self.fd = hc_poller_open()
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)
        free(self.buffer)

    def turn(self):
        """Serves the sockets that are ready, once each."""
        cdef int n, i
        if self.turning or self.fd < 0:
            return
        self.turning = True
        try:
            n = hc_poller_ready(self.fd, self.events, HC_MAX_EVENTS)
            for i in range(n):
                handler = <object>self.events[i].data
                try:
                    if isinstance(handler, ReactorTransport):
                        (<ReactorTransport>handler).ready(self.events[i].what)
                    else:
                        (<ReactorListener>handler).accept()
                except Exception as error:
                    self.failed(handler, error)
            if self.waiting:
                self.end_turns()
        finally:
            self.turning = False
        if self.dead:
            self.bury()

    cpdef end_turns(self):
        """Ends the turns of the transports that were written to outside of one: one callback of the loop for all of
        them, or none while the reactor has a turn itself."""
        cdef list waiting
        self.ending = False
        while self.waiting:
            waiting = self.waiting
            self.waiting = []
            for transport in waiting:
                try:
                    (<ReactorTransport>transport).end_turn()
                except Exception as error:
                    self.failed(transport, error)

    cdef failed(self, handler, error):
        """An error that no handler took: it ends one connection."""
        self.log.log_error("A connection ended in an internal error", exc_info=error)
        if isinstance(handler, ReactorTransport):
            (<ReactorTransport>handler).shut()

    cpdef bury(self):
        """Tells the connections of closed sockets."""
        cdef ReactorTransport transport
        cdef list dead
        self.burying = False
        while self.dead:
            dead = self.dead
            self.dead = []
            for transport in dead:
                self.open.discard(transport)
                try:
                    transport.tell_lost()
                except Exception as error:
                    self.log.log_error("A connection ended in an internal error", exc_info=error)

    def listen(self, worker, sock, tls, bint shared=False):
        """Accepts connections of a listening socket for `worker.connected`. `shared`: other processes accept on it too."""
        return ReactorListener(self, worker, sock, tls, shared)

    def close(self):
        """Closes every socket and the poller."""
        for transport in list(self.open):
            (<ReactorTransport>transport).shut()
        self.bury()
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1


cdef class ReactorListener:
    """A listening socket. It belongs to the worker, which closes it after this."""

    cdef Reactor reactor
    cdef object worker, sock, tls
    cdef int fd, what
    cdef bint tcp
    cdef bint warned
    cdef object server  # the scope's `server` where it is the same for all connections

    def __init__(self, Reactor reactor, worker, sock, tls, bint shared):
        self.reactor = reactor
        self.worker = worker
        self.sock = sock
        self.tls = tls
        self.fd = sock.fileno()
        self.what = HC_READ | (HC_EXCLUSIVE if shared else 0)
        self.tcp = sock.family in (sockets.AF_INET, sockets.AF_INET6)
        self.server = None
        name = sock.getsockname()
        if not self.tcp:
            self.server = (name.decode(errors="surrogateescape") if isinstance(name, bytes) else name, None)
        elif name[0] not in ("0.0.0.0", "::"):
            self.server = (name[0], name[1])
        sock.setblocking(False)
        if hc_poller_add(reactor.fd, self.fd, self.what, <void*>self) < 0:
            raise OSError(errno, os.strerror(errno))

    def accept_waiting(self):
        """Takes all that wait, ahead of the end."""
        while self.accept():
            pass

    cdef bint accept(self) except -1:
        """Takes a batch of waiting connections. True where more may wait."""
        cdef sockaddr_storage peer
        cdef socklen_t length
        cdef int fd, error, i
        for i in range(ACCEPTS):
            if self.fd < 0:
                return False
            fd = hc_accept(self.fd, &peer, &length)
            if fd < 0:
                error = errno
                if hc_peer_failed(error):
                    continue
                if not hc_would_block(error):
                    self.pause(error)
                return False
            self.begin(fd, &peer)
        return True

    cdef begin(self, int fd, sockaddr_storage* peer):
        """Puts a transport on an accepted socket."""
        cdef ReactorTransport transport = ReactorTransport.__new__(ReactorTransport)
        cdef sockaddr_storage local
        transport.open_socket(self.reactor, self.worker, fd)
        if self.tcp:
            hc_no_delay(fd)
            transport.client = address_of(peer)
            if self.server is None and hc_local(fd, &local) == 0:
                transport.server = address_of(&local)
        if self.server is not None:
            transport.server = self.server
        self.reactor.open.add(transport)
        if hc_poller_add(self.reactor.fd, fd, HC_READ, <void*>transport) < 0:
            self.reactor.log.log_error("Cannot watch a connection: %s", os.strerror(errno))
            transport.shut()
            return
        self.worker.connected(transport, self.tls)

    cdef pause(self, int error):
        """Descriptors or memory have run out: wait a while rather than spin, and say so once."""
        if error not in (EMFILE, ENFILE, ENOBUFS, ENOMEM) or not self.warned:
            self.reactor.log.log_error("Cannot accept a connection: %s", os.strerror(error))
            self.warned = True
        if hc_poller_remove(self.reactor.fd, self.fd, self.what) == 0:
            self.reactor.runtime.call_at(self.reactor.runtime.now() + ACCEPT_PAUSE, self.go_on)

    def go_on(self):
        """Accepts again after a pause."""
        if self.fd >= 0 and self.reactor.fd >= 0:
            hc_poller_add(self.reactor.fd, self.fd, self.what, <void*>self)

    def close(self):
        """Accepts no more."""
        if self.fd >= 0:
            if self.reactor.fd >= 0:
                hc_poller_remove(self.reactor.fd, self.fd, self.what)
            self.fd = -1


cdef address_of(sockaddr_storage* address):
    """The (host, port) of a scope, or None."""
    cdef char text[HC_TEXT]
    cdef int port = hc_address(address, text)
    if port < 0:
        return None
    return ((<bytes>(<char*>text)).decode("ascii"), port)


cdef class FileRange:
    """A range of a file that waits to be sent, with a descriptor of its own."""

    cdef int fd
    cdef off_t offset
    cdef long long left

    def __cinit__(self, int fd, long long offset, long long left):
        self.fd = os.dup(fd)
        self.offset = offset
        self.left = left

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)


cdef class ReactorTransport(Transport):
    """One accepted socket."""

    cdef object __weakref__
    cdef Reactor reactor
    cdef object worker
    cdef int fd
    cdef int what  # what the poller watches it for
    cdef list pending  # pieces that the kernel refused, or None
    cdef Py_ssize_t offset  # bytes of the first one that are sent
    cdef Py_ssize_t pending_size
    cdef Py_ssize_t high_water
    cdef bint paused_writing
    cdef bint paused_reading
    cdef bint bulk  # the last read was a large one
    cdef bint at_end  # the peer sends no more
    cdef bint closing  # closes when `pending` is sent
    cdef bint eof_wanted  # half-closes when `pending` is sent

    cdef open_socket(self, Reactor reactor, worker, int fd):
        Transport.__init__(self, reactor.runtime)
        self.reactor = reactor
        self.worker = worker
        self.fd = fd
        self.what = HC_READ
        self.high_water = worker.config.write_buffer_size

    # -- from the poller

    cdef ready(self, int what):
        if self.fd < 0:
            return  # closed by another socket's handler in this turn
        if what & HC_WRITE:
            self.send_pending()
        if self.fd >= 0 and what & (HC_READ | HC_GONE):
            if self.at_end or self.paused_reading:
                if what & HC_GONE:
                    self.shut()
            else:
                self.read()

    cdef read(self):
        """One read, and all that follows from it."""
        cdef Connection connection = self.connection
        cdef Connection successor
        cdef PyObject* data = NULL
        cdef ssize_t n
        cdef int error
        if self.bulk:
            # A body is streaming in: the kernel copies into what the application will get.
            data = PyBytes_FromStringAndSize(NULL, BUFFER)
            n = hc_receive(self.fd, PyBytes_AS_STRING(<object>data), BUFFER)
            error = errno
            self.bulk = n >= BULK
            if n > 0:
                _PyBytes_Resize(&data, n)
            else:
                Py_DECREF(<object>data)
        else:
            n = hc_receive(self.fd, self.reactor.buffer, BUFFER)
            error = errno
            if n > 0:
                self.bulk = n >= BULK
                data = PyBytes_FromStringAndSize(self.reactor.buffer, n)
        if n > 0:
            received = <object>data
            Py_DECREF(received)
            if connection is None:
                return
            self.corked = True
            successor = connection.data_received(<bytes>received)
            if successor is not None:
                self.connection = successor
                self.worker.replaced(connection, successor)
            self.end_turn()
        elif n == 0:
            self.at_end = True
            self.watch()
            if connection is not None:
                self.corked = True
                connection.eof_received()
                self.end_turn()
        elif not hc_would_block(error):
            self.shut()

    cdef watch(self):
        """Tells the poller what matters now."""
        cdef int what = 0
        if self.fd < 0:
            return
        if not self.paused_reading and not self.at_end:
            what |= HC_READ
        if self.pending:
            what |= HC_WRITE
        if what != self.what:
            if hc_poller_change(self.reactor.fd, self.fd, self.what, what, <void*>self) < 0:
                self.shut()
                return
            self.what = what

    # -- writing

    cpdef end_turn_soon(self):
        cdef Reactor reactor = self.reactor
        if self.corked or self.scheduled:
            return
        self.scheduled = True
        reactor.waiting.append(self)
        if not reactor.turning and not reactor.ending:
            reactor.ending = True
            self.runtime.call_soon(reactor.end_turns)

    cpdef flush(self):
        cdef list out = self.out
        cdef Py_ssize_t size = self.out_size
        cdef Py_ssize_t sent = 0
        cdef bytes data
        if not out:
            return
        if self.fd < 0 or self.closing or self.eof_wanted:
            out.clear()
            self.out_size = 0
            return
        if self.pending:
            self.pending += out
            out.clear()
        else:
            if len(out) == 1:
                data = <bytes>out[0]
                out.clear()
            elif size <= JOIN:
                data = b"".join(out)
                out.clear()
            else:
                data = None
            if data is not None:
                sent = hc_send(self.fd, PyBytes_AS_STRING(data), size)
                if sent == size:
                    self.out_size = 0
                    return
                self.pending = [data]
            else:
                self.pending = out
                self.out = []
                sent = self.send_pieces()
            if sent < 0:
                if not hc_would_block(errno):
                    self.out_size = 0
                    self.shut()
                    return
                sent = 0
            self.skip(sent)
        self.out_size = 0
        self.pending_size += size - sent
        if self.pending:
            self.watch()
            self.check_high_water()

    cdef check_high_water(self):
        """Asks the connection to pause when too much waits."""
        if not self.paused_writing and self.pending_size > self.high_water:
            self.paused_writing = True
            if self.connection is not None:
                self.connection.pause_writing()

    cdef ssize_t send_pieces(self):
        """Sends from `pending` what the kernel takes in one call."""
        cdef iovec pieces[PIECES]
        cdef Py_ssize_t i, count = len(self.pending)
        cdef Py_ssize_t offset = self.offset
        cdef bytes piece
        cdef FileRange file
        if isinstance(self.pending[0], FileRange):
            file = <FileRange>self.pending[0]
            return hc_send_file(self.fd, file.fd, &file.offset, FILE_PIECE if file.left > FILE_PIECE else file.left)
        if count > PIECES:
            count = PIECES
        for i in range(count):
            if isinstance(self.pending[i], FileRange):
                count = i
                break
            piece = <bytes>self.pending[i]
            pieces[i].iov_base = PyBytes_AS_STRING(piece) + offset
            pieces[i].iov_len = PyBytes_GET_SIZE(piece) - offset
            offset = 0
        return hc_send_many(self.fd, pieces, count)

    cdef skip(self, Py_ssize_t sent):
        """Forgets bytes at the front of `pending`."""
        cdef Py_ssize_t done = 0, left
        cdef list pending = self.pending
        if isinstance(pending[0], FileRange):
            (<FileRange>pending[0]).left -= sent
            if (<FileRange>pending[0]).left > 0:
                return
            sent = 0
            done = 1
        while done < len(pending):
            if isinstance(pending[done], FileRange):
                break
            left = PyBytes_GET_SIZE(<bytes>pending[done]) - self.offset
            if sent < left:
                self.offset += sent
                break
            sent -= left
            self.offset = 0
            done += 1
        if done == len(pending):
            self.pending = None
        elif done:
            del pending[:done]

    cdef send_pending(self):
        """Sends what the kernel refused before."""
        cdef ssize_t sent
        if self.pending:
            sent = self.send_pieces()
            if sent < 0:
                if not hc_would_block(errno):
                    self.shut()
                return
            if sent == 0:
                self.shut()  # the file is shorter than it was: nothing can make the response whole
                return
            self.pending_size -= sent
            self.skip(sent)
        if self.paused_writing and self.pending_size <= self.high_water // 4:
            self.paused_writing = False
            if self.connection is not None:
                self.corked = True
                self.connection.resume_writing()
                self.end_turn()
        if not self.pending:
            if self.closing:
                self.shut()
            elif self.eof_wanted:
                self.half_close()
        self.watch()

    # -- from the connection

    cpdef bint send_file(self, int fd, long long offset, long long count) except -1:
        if not HAS_SENDFILE:
            return False
        if count and self.fd >= 0 and not self.closing and not self.eof_wanted:
            self.flush()
            if self.fd < 0:
                return True
            if self.pending is None:
                self.pending = []
            self.pending.append(FileRange(fd, offset, count))
            self.pending_size += count
            if len(self.pending) == 1:
                self.send_pending()
            if self.pending:
                self.watch()
                self.check_high_water()
        return True

    cpdef send_bytes(self, bytes data):
        self.write(data)
        self.flush()

    cpdef Py_ssize_t unsent(self) except -1:
        return self.pending_size

    cpdef close(self):
        self.flush()
        self.closing = True
        if not self.pending:
            self.shut()

    cpdef abort(self):
        self.shut()

    cpdef write_eof(self):
        self.flush()
        self.eof_wanted = True
        if not self.pending:
            self.half_close()

    cdef half_close(self):
        if self.fd >= 0 and shutdown(self.fd, SHUT_WR) < 0:
            self.shut()

    cdef shut(self):
        """Closes the socket. The connection hears of it when the turn has ended."""
        if self.fd < 0:
            return
        close(self.fd)
        self.fd = -1
        self.pending = None
        if self.connection is not None and not self.paused_writing:
            # Until it is told: whoever sends on has to wait, and so lets the loop run that tells it.
            self.paused_writing = True
            self.connection.pause_writing()
        self.pending_size = 0
        self.reactor.dead.append(self)
        if not self.reactor.turning and not self.reactor.burying:
            self.reactor.burying = True
            self.runtime.call_soon(self.reactor.bury)

    cdef tell_lost(self):
        """Tells the connection."""
        cdef Connection connection = self.connection
        self.connection = None
        self.out.clear()
        if connection is not None:
            self.worker.disconnected(connection)

    cpdef pause_reading(self):
        self.paused_reading = True
        self.watch()

    cpdef resume_reading(self):
        self.paused_reading = False
        self.watch()

    cpdef get_extra_info(self, str name):
        if name == "peername":
            return self.client
        if name == "sockname":
            return self.server
        if name == "fd":
            return self.fd
        return None
