# Bodies that come again: part of reactor.pyx.

cdef class KeptBody:
    """A large bytes object that was sent more than once, in a file that is memory only."""

    cdef bytes piece
    cdef int fd
    cdef double used_at

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)


cdef class Bodies:
    """What applications send again and again, the very same large objects: from a file the kernel takes their pages as they
    are, where it copies what is sent from a process. An object cannot change, so its file stays right; whoever made it
    pays the memory once more, within bounds and for as long as it is used."""

    cdef Reactor reactor
    cdef list kept  # KeptBody
    cdef list seen  # the last large pieces that were sent for the first time
    cdef Py_ssize_t held  # octets in files
    cdef bint works, timed

    def __cinit__(self, Reactor reactor):
        self.reactor = reactor
        self.kept = []
        self.seen = []
        self.works = HAS_SENDFILE and hasattr(os, "memfd_create")

    cdef by_reference(self, list pieces):
        """Replaces the large pieces that came before by ranges of their files."""
        cdef Py_ssize_t i
        cdef KeptBody body
        if not self.works:
            return
        for i in range(len(pieces)):
            if isinstance(pieces[i], bytes) and BODY <= PyBytes_GET_SIZE(<bytes>pieces[i]) <= LARGEST_BODY:
                body = self.find(<bytes>pieces[i])
                if body is not None:
                    pieces[i] = FileRange(body.fd, 0, PyBytes_GET_SIZE(body.piece), body)

    cdef KeptBody find(self, bytes piece):
        """The file of a piece that was sent before, or None."""
        cdef KeptBody body
        for body in self.kept:
            if body.piece is piece:
                body.used_at = hc_monotonic()
                return body
        for one in self.seen:
            if one is piece:
                return self.keep(piece)
        if len(self.seen) >= SEEN:
            del self.seen[0]
        self.seen.append(piece)
        self.watch_age()
        return None

    cdef KeptBody keep(self, bytes piece):
        """Makes a file of a piece. None where there is no room for it, or no file to be had."""
        cdef KeptBody body
        cdef Py_ssize_t size = PyBytes_GET_SIZE(piece)
        if self.held + size > HELD_BODIES:
            self.forget(hc_monotonic())
            if self.held + size > HELD_BODIES:
                return None
        body = KeptBody.__new__(KeptBody)
        body.fd = -1
        try:
            body.fd = os.memfd_create("hypercorn-body")
            with open(body.fd, "wb", buffering=0, closefd=False) as file:
                if file.write(piece) != size:
                    return None
        except OSError:  # no descriptor, no memory, or a kernel that has no such files
            self.works = False
            return None
        body.piece = piece
        body.used_at = hc_monotonic()
        self.kept.append(body)
        self.held += size
        self.seen = [one for one in self.seen if one is not piece]
        return body

    cdef forget(self, double before):
        """Lets go of what was not used since `before`."""
        cdef KeptBody body
        cdef list left = []
        cdef Py_ssize_t held = 0
        for body in self.kept:
            if body.used_at >= before:
                left.append(body)
                held += PyBytes_GET_SIZE(body.piece)
        self.kept = left
        self.held = held

    cdef close(self):
        """Lets go of everything."""
        self.works = False
        self.seen = []
        self.forget(hc_monotonic())

    cdef watch_age(self):
        """Has a timer look for what is not used any more, while there is something."""
        if not self.timed and (self.seen or self.kept):
            self.timed = True
            self.reactor.runtime.call_at(hc_monotonic() + BODY_AGE, self.age)

    cpdef age(self):
        """The timer."""
        self.timed = False
        self.seen = []
        self.forget(hc_monotonic() - BODY_AGE)
        self.watch_age()
