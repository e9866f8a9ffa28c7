# types of runtime.py
cimport cython

cdef double GATHER_SECONDS, TURN_SECONDS
cdef Py_ssize_t CALLS_PER_ROUND

cdef class Runtime:
    cdef public Py_ssize_t quick_steps
    cdef public double step_ended_at
    cdef public object turns
    cdef public object turn_ends
    cdef public bint turn_ends_scheduled
    cdef public double gathering_since, written_at
    cdef public bint turns_scheduled
    cdef public Py_ssize_t unbegun
    cdef public double round_began_at
    cdef public object waiting_calls
    cdef public object reactor
    cpdef double now(self) except? -1
    cpdef call_soon(self, callback)
    cpdef call_at(self, double when, callback)
    cpdef spawn(self, call)
    cpdef step_ended(self, double since)
    cpdef turn_soon(self, transport)
    cpdef schedule_turns(self)
    @cython.locals(until=double)
    cpdef take_turns(self)
    cpdef end_turn_soon(self, transport)
    cpdef schedule_turn_ends(self)
    @cython.locals(now=double, until=double)
    cpdef end_turns(self)
    @cython.locals(now=double, slow=bint)
    cpdef bint may_gather(self) except -1
    cpdef call_spawned(self)
    @cython.locals(now=double)
    cpdef bint may_begin(self) except -1
    cpdef cancel(self, call)
    cpdef call_over(self, call, error)
    cpdef waiter(self)
    cpdef wake(self, waiter)
