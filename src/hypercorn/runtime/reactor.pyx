# compiled only
"""The reactor: all sockets of a worker behind one descriptor, which the user's loop watches.

The reactor's poller (epoll or kqueue) holds the listeners and every client's socket. It is a descriptor itself: when it
is readable, the loop calls `turn` once, and one turn takes the whole batch of ready sockets from their bytes to the
application and back. So the loop's own price is paid once for a batch, whatever the loop is.

A turn is bounded, in sockets and in bytes for each, so that other tasks of the loop get theirs; what is left makes the
descriptor readable again. Nothing here blocks, and no error of one socket leaves its handler.
"""

import os
import socket as sockets

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.errno cimport EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdlib cimport free, malloc

from hypercorn.metrics import current_board_slot
from hypercorn.net.address import server_address
from hypercorn.protocol import turns
from hypercorn.protocol.ports cimport Connection, Exchange, Transport
from hypercorn.protocol.runtime cimport Runtime
from posix.types cimport off_t

from hypercorn.runtime import states
from hypercorn.runtime.poller cimport *

cdef extern from "clock.h":
    double hc_monotonic() nogil

cdef extern from "Python.h":
    PyObject* PyBytes_FromStringAndSize(const char* data, Py_ssize_t size) except NULL
    int _PyBytes_Resize(PyObject** data, Py_ssize_t size) except -1

cdef enum:
    BUFFER_BYTES = 262144  # bytes read from one socket in a turn
    ACCEPTS = 64  # connections accepted from one listener in a turn
    SHARED_ACCEPTS = 8  # ... where other workers accept on it too, who get theirs of a burst
    MOST_SKIPPED_TURNS = 4  # turns in which a worker leaves what waits to those who have had less
    MOST_BEHIND = 64  # connections that a worker is behind the others by, from which on nobody waits for it
    PIECES = 64  # pieces given to the kernel in one call
    FILE_PIECE_BYTES = 1048576  # bytes of a file sent to one socket in a turn
    BULK_BYTES = 32768  # bytes in one read that tell of more to come
    BATCH_CALLS = 64  # exchanges that begin together
    MOST_SOCKETS = 32  # sockets of a turn over which the price of the loop is spread well enough
    SHORT_BYTES = 4096  # bytes of a read whose exchange may begin with others
    KEPT_BYTES = 131072  # bytes of a piece above which it is kept whole until all of it is sent
    LARGE_BYTES = 4096  # bytes of output that leave at once
    JOIN_BYTES = 4096  # bytes up to which joining pieces is cheaper than a list of them

cdef double GATHER_SECONDS = turns.GATHER_SECONDS
cdef double TURN_SECONDS = turns.TURN_SECONDS
cdef Py_ssize_t QUICK_STEPS = turns.QUICK_STEPS
cdef int IN_TURN = turns.IN_TURN, DEFERRED = turns.DEFERRED
cdef int OPEN = states.OPEN, HALF_CLOSING = states.HALF_CLOSING, HALF_CLOSED = states.HALF_CLOSED
cdef int CLOSING = states.CLOSING, CLOSED = states.CLOSED
POLLER = HC_POLLER.decode()  # what the reactor was built over: "epoll", "kqueue" or "none"
ACCEPT_PAUSE_SECONDS = 1.0  # seconds without accepting when descriptors have run out


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
    cdef list closed  # transports whose connections have not been told yet
    cdef list closed_in_turn  # transports and listeners that are closed, and that a turn which goes on may know
    cdef list batch  # exchanges that begin together, those before `first` have begun
    cdef list batch_transports  # their transports
    cdef Py_ssize_t first
    cdef list answered  # transports of exchanges that have begun, whose turns end together
    cdef bint continue_scheduled, notify_scheduled
    cdef list unserved  # of the last turn, which was over before: pairs of a handler and what it was ready for
    cdef bint cut  # the last turn was over before all was served
    cdef int depth  # of turns: a loop may run inside of an application's step
    cdef long long number  # of the turn
    cdef char* buffer

    def __cinit__(self):
        self.fd = -1
        self.buffer = <char*>malloc(BUFFER_BYTES)
        if self.buffer is NULL:
            raise MemoryError

    def __init__(self, Runtime runtime, log):
        self.runtime = runtime
        self.log = log
        self.open = set()
        self.closed = []
        self.closed_in_turn = []
        self.unserved = []
        self.batch = []
        self.batch_transports = []
        self.answered = []
        self.fd = hc_poller_open()
        if self.fd < 0:
            raise OSError(errno, os.strerror(errno))
        runtime.reactor = self

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)
        free(self.buffer)

    def turn(self):
        """Serves the sockets that are ready, and those that become so while small requests are answered; for no longer
        than TURN_SECONDS, but for the last application's step. A loop that runs inside of a step may call it again."""
        cdef hc_event events[HC_MAX_EVENTS]
        cdef int n, served = 0
        cdef double since
        if self.fd < 0:
            return
        self.depth += 1
        try:
            self.number += 1
            since = hc_monotonic()
            if self.answered or self.first < len(self.batch):
                self.begin_batch(since)
            if self.unserved:
                self.serve_unserved(since)
            while served < MOST_SOCKETS and not self.is_over(since):
                n = hc_poller_ready(self.fd, events, HC_MAX_EVENTS - served)
                served += n
                if not self.serve_ready(events, n, since):
                    break
            if self.runtime.turn_ends:
                self.runtime.end_turns()
        finally:
            self.depth -= 1
        if self.first < len(self.batch) and not self.continue_scheduled:
            self.continue_scheduled = True
            self.runtime.call_soon(self.continue_turn)
        self.cut = self.is_over(since)
        if self.closed:
            self.notify_closed()
        if not self.depth and self.closed_in_turn:
            self.closed_in_turn.clear()

    cdef bint is_over(self, double since):
        """True where a turn that began at `since` has lasted long enough."""
        return self.runtime.step_ended_at - since > TURN_SECONDS

    def is_behind(self):
        """True while a turn that was cut short has left exchanges to begin or sockets to serve."""
        cdef hc_event event
        if self.continue_scheduled:
            return True
        return self.cut and self.fd >= 0 and hc_poller_ready(self.fd, &event, 1) > 0

    def continue_turn(self):
        """Another turn, for the exchanges that the last one did not begin."""
        self.continue_scheduled = False
        self.turn()

    cdef bint serve_ready(self, hc_event* events, int n, double since) except -1:
        """Serves `n` sockets, once each. True where requests were begun by it: others may have come meanwhile. What is
        left when the turn is over comes first in the next one: the poller tells of sockets in the same order again, so
        those at its end would have to wait for as long as those at its beginning are busy."""
        cdef bint begun = False
        cdef int i
        for i in range(n):
            self.serve(<object>events[i].data, events[i].what)
            if len(self.batch) - self.first >= BATCH_CALLS:
                self.begin_batch(since)
                begun = True
            if self.is_over(since):
                for i in range(i + 1, n):
                    self.unserved.append((<object>events[i].data, events[i].what))
                break
        if self.first < len(self.batch):
            self.begin_batch(since)
            begun = True
        return begun

    cdef serve(self, handler, int what):
        """Serves one socket, or accepts on it."""
        try:
            if isinstance(handler, ReactorTransport):
                (<ReactorTransport>handler).ready(what)
            elif not (<ReactorListener>handler).leaves_to_others():
                (<ReactorListener>handler).accept()
        except Exception as error:
            self.failed(handler, error)

    cdef serve_unserved(self, double since):
        """Serves what the last turn left. A socket that is closed, or not ready any more, takes no notice."""
        cdef list unserved = self.unserved
        cdef Py_ssize_t i
        self.unserved = []
        for i in range(len(unserved)):
            self.serve(unserved[i][0], unserved[i][1])
            if len(self.batch) - self.first >= BATCH_CALLS:
                self.begin_batch(since)
            if self.is_over(since):
                self.unserved = unserved[i + 1 :] + self.unserved
                return
        if self.first < len(self.batch):
            self.begin_batch(since)

    cdef begin_batch(self, double turn_began):
        """Begins the exchanges that the reads came to, then sends what was answered: each layer's code runs for many
        requests before the next one's does, and a peer on the same machine is woken once for all of them. An answer
        waits for others only where the applications' steps have been short for a while, for GATHER_SECONDS at the most."""
        cdef ReactorTransport transport
        cdef Exchange exchange
        cdef double since = hc_monotonic()
        interrupt = None
        while self.first < len(self.batch) and not self.is_over(turn_began):
            exchange = <Exchange>self.batch[self.first]
            transport = <ReactorTransport>self.batch_transports[self.first]
            self.first += 1
            self.answered.append(transport)
            try:
                exchange.begin()
                if transport.out_size > LARGE_BYTES:
                    transport.end_turn()
            except Exception as error:
                self.failed(transport, error)
            except BaseException as error:  # for the loop, when the others have had their turns
                interrupt = error
            if self.runtime.quick_steps < QUICK_STEPS or self.runtime.step_ended_at - since > GATHER_SECONDS:
                self.end_answered()
                since = hc_monotonic()
        self.end_answered()
        if self.first == len(self.batch):
            self.batch.clear()
            self.batch_transports.clear()
            self.first = 0
        if interrupt is not None:
            raise interrupt

    cdef end_answered(self):
        """Ends the turns of the transports whose exchanges began together."""
        cdef ReactorTransport transport
        cdef list answered = self.answered
        if not answered:
            return
        self.answered = []
        for one in answered:
            transport = <ReactorTransport>one
            transport.turn = IN_TURN
            try:
                transport.end_turn()
            except Exception as error:
                self.failed(transport, error)

    cdef failed(self, handler, error):
        """An error that no handler took: it ends one connection."""
        self.log.log_error("A connection ended in an internal error", exc_info=error)
        if isinstance(handler, ReactorTransport):
            (<ReactorTransport>handler).shut()

    cpdef notify_closed(self):
        """Tells the connections of closed sockets."""
        cdef ReactorTransport transport
        cdef list closed
        self.notify_scheduled = False
        while self.closed:
            closed = self.closed
            self.closed = []
            if self.depth:
                self.closed_in_turn += closed
            for transport in closed:
                self.open.discard(transport)
                try:
                    transport.notify_lost()
                except Exception as error:
                    self.log.log_error("A connection ended in an internal error", exc_info=error)

    def listen(self, worker, sock, tls, bint shared=False):
        """Accepts connections of a listening socket for `worker.connected`. `shared`: other processes accept on it too."""
        return ReactorListener(self, worker, sock, tls, shared)

    def close(self):
        """Closes every socket and the poller."""
        for transport in list(self.open):
            (<ReactorTransport>transport).shut()
        self.notify_closed()
        self.unserved.clear()
        self.runtime.reactor = None
        if self.fd >= 0:
            close(self.fd)
            self.fd = -1


cdef class ReactorListener:
    """A listening socket. It belongs to the worker, which closes it after this."""

    cdef Reactor reactor
    cdef object worker, sock, tls
    cdef int fd, what, most
    cdef bint tcp
    cdef bint warned
    cdef object server  # the scope's `server` where it is the same for all connections
    cdef long long[::1] accept_counts  # what every worker has accepted, in memory that they share; 0: it does not accept
    cdef Py_ssize_t board_slot  # of this one in it
    cdef int skipped_turns
    cdef long long skipped_in_turn  # a turn's number

    def __init__(self, Reactor reactor, worker, sock, tls, bint shared):
        self.reactor = reactor
        self.worker = worker
        self.sock = sock
        self.tls = tls
        self.fd = sock.fileno()
        self.what = HC_READ | (HC_EXCLUSIVE if shared else 0)
        self.most = ACCEPTS
        self.accept_counts = None
        self.skipped_in_turn = -1
        if shared:
            self.join_accept_counts()
        self.tcp = sock.family in (sockets.AF_INET, sockets.AF_INET6)
        self.server = None
        name = sock.getsockname()
        if not self.tcp:
            self.server = server_address(name)
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
        for i in range(self.most):
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
            if self.accept_counts is not None and self.accept_counts[self.board_slot]:
                self.accept_counts[self.board_slot] += 1
            self.begin(fd, &peer)
        return True

    cdef bint leaves_to_others(self):
        """True where other workers should have what waits here, as they have accepted less than this one. The kernel
        wakes everybody, and whoever it happens to run first would get most of all connections. Who is behind by many
        stands still, or has for a while: nobody waits for that one, and for nobody for long."""
        cdef long long mine, other, most
        cdef bint behind = False
        cdef Py_ssize_t i
        if self.accept_counts is None or not self.accept_counts[self.board_slot]:
            return False
        mine = self.accept_counts[self.board_slot]
        most = 0
        for i in range(self.accept_counts.shape[0]):
            other = self.accept_counts[i]
            if other and i != self.board_slot:
                most = max(most, other)
                if mine - MOST_BEHIND <= other < mine:
                    behind = True
        self.most = SHARED_ACCEPTS if most else ACCEPTS
        if self.skipped_in_turn != self.reactor.number - 1:
            self.skipped_turns = 0
        if behind and self.skipped_turns < MOST_SKIPPED_TURNS:
            self.skipped_turns += 1
            self.skipped_in_turn = self.reactor.number
            hc_let_others_run()
            return True
        self.accept_counts[self.board_slot] = max(mine, most - MOST_BEHIND)
        return False

    def join_accept_counts(self):
        """Has its turn as the other workers on the same sockets have theirs."""
        slot = current_board_slot()
        if slot is not None:
            self.accept_counts = slot.board.accept_counts
            self.board_slot = slot.number
            if not self.accept_counts[self.board_slot]:
                self.accept_counts[self.board_slot] = max(max(self.accept_counts), 1)

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
            self.reactor.runtime.call_at(self.reactor.runtime.now() + ACCEPT_PAUSE_SECONDS, self.resume)

    def resume(self):
        """Accepts again after a pause."""
        if self.fd >= 0 and self.reactor.fd >= 0:
            hc_poller_add(self.reactor.fd, self.fd, self.what, <void*>self)

    def close(self):
        """Accepts no more."""
        if self.fd >= 0:
            if self.reactor.fd >= 0:
                hc_poller_remove(self.reactor.fd, self.fd, self.what)
            if self.accept_counts is not None:
                self.accept_counts[self.board_slot] = 0
            self.fd = -1
            if self.reactor.depth:
                self.reactor.closed_in_turn.append(self)


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
    cdef off_t start, offset
    cdef long long left

    def __cinit__(self, int fd, long long offset, long long left):
        self.fd = -1  # should the next step fail
        self.fd = os.dup(fd)
        self.start = self.offset = offset
        self.left = left

    cdef bint whole(self):
        """True while nothing of it was sent."""
        return self.offset == self.start

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
    cdef long long pending_size  # files count whole, and may be longer than a word can say in 32 bits
    cdef Py_ssize_t high_water
    cdef bint bulk  # the last read was a large one
    cdef bint at_end  # the peer sends no more
    cdef int sending  # its state, of states.py
    cdef bint short_read  # its exchange may begin together with those of others

    cdef open_socket(self, Reactor reactor, worker, int fd):
        Transport.__init__(self, reactor.runtime)
        self.reactor = reactor
        self.worker = worker
        self.fd = fd
        self.what = HC_READ
        self.high_water = worker.context.limits.write_buffer_size

    # -- from the poller

    cdef ready(self, int what):
        if self.fd < 0:
            return  # closed by another socket's handler in this turn
        if what & HC_WRITE:
            self.send_pending()
        if self.fd >= 0 and what & (HC_READ | HC_GONE):
            if self.at_end or self.reading_paused:
                if what & HC_GONE:
                    self.shut()
            else:
                self.read()

    cdef read(self):
        """One read, and all that follows from it."""
        cdef Connection connection
        cdef PyObject* data = NULL
        cdef ssize_t n
        cdef int error
        if self.bulk:
            # A body is streaming in: the kernel copies into what the application will get.
            data = PyBytes_FromStringAndSize(NULL, BUFFER_BYTES)
            n = hc_receive(self.fd, PyBytes_AS_STRING(<object>data), BUFFER_BYTES)
            error = errno
            self.bulk = n >= BULK_BYTES
            if n > 0:
                _PyBytes_Resize(&data, n)
            else:
                Py_DECREF(<object>data)
        else:
            n = hc_receive(self.fd, self.reactor.buffer, BUFFER_BYTES)
            error = errno
            if n > 0:
                self.bulk = n >= BULK_BYTES
                data = PyBytes_FromStringAndSize(self.reactor.buffer, n)
        if n > 0:
            received = <object>data
            Py_DECREF(received)
            self.short_read = n <= SHORT_BYTES
            self.received(<bytes>received)
            self.short_read = False
        elif n == 0:
            self.at_end = True
            self.watch()
            connection = self.connection
            if connection is not None:
                self.begin_turn()
                connection.eof_received()
                self.end_turn()
        elif not hc_would_block(error):
            self.shut()

    cdef watch(self):
        """Tells the poller what matters now."""
        cdef int what = 0
        if self.fd < 0:
            return
        if not self.reading_paused and not self.at_end:
            what |= HC_READ
        if self.pending:
            what |= HC_WRITE
        if what != self.what:
            if hc_poller_change(self.reactor.fd, self.fd, self.what, what, <void*>self) < 0:
                self.shut()
                return
            self.what = what

    # -- writing

    cpdef flush(self):
        cdef list out = self.out
        cdef Py_ssize_t size = self.out_size
        cdef Py_ssize_t sent = 0
        cdef bytes data
        if not out:
            return
        if self.sending != OPEN:
            out.clear()
            self.out_size = 0
            return
        if self.pending:
            self.pending += out
            out.clear()
        else:
            if len(out) == 1 and isinstance(out[0], bytes):
                data = <bytes>out[0]
                out.clear()
            elif size <= JOIN_BYTES:
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
            if sent and self.pending and isinstance(self.pending[0], FileRange) and (<FileRange>self.pending[0]).whole():
                sent += self.send_next()
        self.out_size = 0
        self.pending_size += size - sent
        if self.pending:
            self.watch()
            self.check_high_water()

    cdef ssize_t send_next(self):
        """Sends on after what stood before a file went out whole."""
        cdef ssize_t sent = self.send_pieces()
        if sent <= 0:
            return 0  # the poller tells of a socket that is full, and of one that is broken
        self.skip(sent)
        return sent

    cdef check_high_water(self):
        """Asks the connection to pause when too much waits."""
        if not self.writing_paused and self.pending_size > self.high_water:
            self.let_go()
            self.pause_output()

    cdef let_go(self):
        """Drops what of the first piece is sent: this peer may be a slow one."""
        cdef Py_ssize_t size
        if self.offset and isinstance(self.pending[0], bytes):
            size = PyBytes_GET_SIZE(<bytes>self.pending[0])
            if size <= KEPT_BYTES and self.offset >= size // 4:
                self.pending[0] = (<bytes>self.pending[0])[self.offset:]
                self.offset = 0

    cdef ssize_t send_pieces(self):
        """Sends from `pending` what the kernel takes in one call."""
        cdef iovec pieces[PIECES]
        cdef Py_ssize_t i, count = len(self.pending)
        cdef Py_ssize_t offset = self.offset
        cdef bytes piece
        cdef FileRange file
        if isinstance(self.pending[0], FileRange):
            file = <FileRange>self.pending[0]
            return hc_send_file(self.fd, file.fd, &file.offset, FILE_PIECE_BYTES if file.left > FILE_PIECE_BYTES else file.left)
        if count > PIECES:
            count = PIECES
        for i in range(count):
            if isinstance(self.pending[i], FileRange):
                return hc_send_many(self.fd, pieces, i, True)
            piece = <bytes>self.pending[i]
            pieces[i].iov_base = PyBytes_AS_STRING(piece) + offset
            pieces[i].iov_len = PyBytes_GET_SIZE(piece) - offset
            offset = 0
        return hc_send_many(self.fd, pieces, count, False)

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
        if self.writing_paused and self.pending_size <= self.high_water // 4:
            self.writing_paused = False
            if self.connection is not None:
                self.begin_turn()
                self.connection.resume_writing()
                self.end_turn()
        if not self.pending:
            if self.sending == CLOSING:
                self.shut()
            elif self.sending == HALF_CLOSING:
                self.half_close()
        self.watch()

    # -- from the connection

    cpdef bint begin_in_batch(self, Exchange exchange) except -1:
        if not self.short_read or self.turn == DEFERRED:
            return False
        self.turn = DEFERRED
        self.reactor.batch_transports.append(self)
        self.reactor.batch.append(exchange)
        return True

    cpdef bint send_file(self, int fd, long long offset, long long count) except -1:
        if not HC_LINUX:
            return False
        if count and self.sending == OPEN:
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

    cpdef long long unsent(self) except -1:
        return self.pending_size

    cpdef close(self):
        self.flush()
        if self.sending < CLOSING:
            self.sending = CLOSING
            if not self.pending:
                self.shut()

    cpdef abort(self):
        self.shut()

    cpdef write_eof(self):
        self.flush()
        if self.sending == OPEN:
            self.sending = HALF_CLOSING
            if not self.pending:
                self.half_close()

    cdef half_close(self):
        self.sending = HALF_CLOSED
        if shutdown(self.fd, SHUT_WR) < 0:
            self.shut()

    cdef shut(self):
        """Closes the socket. The connection is told when the turn has ended."""
        if self.fd < 0:
            return
        # By hand: a child that was forked a moment ago may still have the socket, and so would the poller.
        hc_poller_remove(self.reactor.fd, self.fd, self.what)
        close(self.fd)
        self.fd = -1
        self.sending = CLOSED
        self.pending = None
        self.pending_size = 0
        self.reactor.closed.append(self)
        if not self.reactor.depth and not self.reactor.notify_scheduled:
            self.reactor.notify_scheduled = True
            self.runtime.call_soon(self.reactor.notify_closed)
        if self.connection is not None and not self.writing_paused:
            # Until it is told: whoever sends on has to wait, and so lets the loop run that tells it.
            self.pause_output()

    cdef notify_lost(self):
        """Tells the connection."""
        cdef Connection connection = self.connection
        self.connection = None
        self.out.clear()
        if connection is not None:
            self.worker.disconnected(connection)

    cpdef pause_reading(self):
        self.reading_paused = True
        self.watch()

    cpdef resume_reading(self):
        self.reading_paused = False
        self.watch()

    cpdef get_extra_info(self, str name):
        if name == "peername":
            return self.client
        if name == "sockname":
            return self.server
        if name == "fd":
            return self.fd
        return None
