# part of reactor.pyx
# The transports of the reactor: part of reactor.pyx.

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
    cdef Py_ssize_t pending_size
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

    cpdef end_turn_soon(self):
        cdef Reactor reactor = self.reactor
        if self.turn:
            self.end_turn_wanted = True
        elif not self.end_turn_scheduled:
            self.end_turn_scheduled = True
            reactor.waiting.append(self)
            if not reactor.depth:
                reactor.end_turns_soon()

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
            self.writing_paused = True
            self.let_go()
            if self.connection is not None:
                self.connection.pause_writing()

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

    cpdef Py_ssize_t unsent(self) except -1:
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
            self.writing_paused = True
            self.connection.pause_writing()

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
