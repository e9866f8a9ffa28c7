cimport cython

cdef double TOGETHER, TURN
cdef Py_ssize_t WOKEN

cdef class Runtime:
    cdef public Py_ssize_t brisk
    cdef public double stepped_at
    cdef public object turns
    cdef public bint promised
    cdef public Py_ssize_t pending
    cdef public double since
    cdef public object late
    cdef public object reactor
    cpdef double now(self) except? -1
    cpdef call_soon(self, callback)
    cpdef call_at(self, double when, callback)
    cpdef spawn(self, call)
    cpdef stepped(self, double since)
    cpdef turn_soon(self, transport)
    cpdef promise_turns(self)
    @cython.locals(until=double)
    cpdef take_turns(self)
    cpdef call_spawned(self)
    @cython.locals(now=double)
    cpdef bint begins(self) except -1
    cpdef cancel(self, call)
    cpdef call_over(self, call, error)
    cpdef waiter(self)
    cpdef wake(self, waiter)
