"""The compiled twin of `call.py`: the same classes, stepped through the interpreter's own iteration slots.

A coroutine that ends says so in Python by raising StopIteration; in C it returns, and no exception is made. That is
the whole difference, and the reason for a twin: it is a fifth of the cost of a small request.
"""

from collections.abc import Coroutine
from inspect import Parameter, Signature

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF

from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.ports cimport Connection, Runtime, Stream, Transport

cdef extern from "Python.h":
    ctypedef PyObject* (*iternextfunc)(PyObject*)
    ctypedef PyObject* (*unaryfunc)(PyObject*) except NULL
    ctypedef struct PyAsyncMethods:
        unaryfunc am_await
    ctypedef PyObject* (*vectorcallfunc)(PyObject*, PyObject**, size_t, PyObject*)
    ctypedef PyObject* (*ternaryfunc)(PyObject*, PyObject*, PyObject*)
    ctypedef struct PyTypeObject:
        iternextfunc tp_iternext
        ternaryfunc tp_call
        unsigned long tp_flags
        Py_ssize_t tp_vectorcall_offset
        PyAsyncMethods* tp_as_async
    PyTypeObject* Py_TYPE(PyObject* value)
    PyObject* PyVectorcall_Call(PyObject*, PyObject*, PyObject*)
    Py_ssize_t PyVectorcall_NARGS(size_t)
    void PyType_Modified(PyTypeObject* kind)
    unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    int PyIter_Send(object iterator, object value, PyObject** result) except -1
    void PyErr_SetObject(object kind, object value)
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1

cdef enum:
    RETURNED = 0  # PYGEN_RETURN
    SUSPENDED = 1  # PYGEN_NEXT

# What an application may raise without ending more than its own call.
APP_ERRORS = (Exception, SystemExit)


cdef class ASGIStream(Stream):
    """A stream with an application on it: what `AppCall`, `Receive` and `Drain` work on."""

    def __init__(self, Connection connection, Runtime runtime):
        self.connection = connection
        self.runtime = runtime
        self.gone = False
        self.parked = None

    cpdef receive(self):
        raise NotImplementedError

    cpdef send(self, message):
        raise NotImplementedError

    cpdef dict take(self):
        raise NotImplementedError

    cpdef bint must_wait(self) except -1:
        raise NotImplementedError

    cpdef call(self):
        raise NotImplementedError

    cpdef call_ended(self, error):
        raise NotImplementedError

    cpdef park(self):
        """A waiter that ends when the stream's state has changed."""
        waiter = self.runtime.parking()
        if self.parked is None:
            self.parked = []
        self.parked.append(waiter)
        return waiter

    cpdef wake(self):
        """Lets every waiting task look again."""
        cdef list parked = self.parked
        if parked:
            self.parked = None
            for waiter in parked:
                self.runtime.wake(waiter)

    cpdef resume(self):
        """The same, where this is a good moment for the tasks to run: nothing is half done."""
        cdef list parked = self.parked
        if parked:
            self.parked = None
            for waiter in parked:
                self.runtime.resume(waiter)


cdef iterator_of(waiter):
    """`waiter.__await__()`, without looking the method up. Every waiter has one: the runtime makes them."""
    cdef PyObject* found = Py_TYPE(<PyObject*>waiter).tp_as_async.am_await(<PyObject*>waiter)
    inner = <object>found
    Py_DECREF(inner)
    return inner


@cython.freelist(64)
cdef class Awaitable:
    """An awaitable without a coroutine behind it: it ends when `ready`, and waits for the stream until then."""

    def __init__(self, ASGIStream stream):
        self.stream = stream

    cpdef bint ready(self) except -1:
        raise NotImplementedError

    cpdef result(self):
        raise NotImplementedError

    cdef int step(self, value, PyObject** out) except -1:
        """One step: SUSPENDED with what to yield in `out`, or RETURNED."""
        cdef PyObject* yielded = NULL
        while True:
            if self.inner is None:
                if self.ready():
                    return RETURNED
                self.waiter = self.stream.park()
                self.inner = iterator_of(self.waiter)
            if PyIter_Send(self.inner, value, &yielded) == SUSPENDED:
                out[0] = yielded
                return SUSPENDED
            Py_DECREF(<object>yielded)
            self.inner = None
            value = None

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    cpdef send(self, value):
        cdef PyObject* out = NULL
        if self.step(value, &out) == RETURNED:
            raise StopIteration(self.result())
        result = <object>out
        Py_DECREF(result)
        return result

    def throw(self, kind, value=None, traceback=None):
        error = value if value is not None else kind
        if isinstance(error, type):
            error = error()
        inner = self.inner
        if inner is None:
            raise error
        try:
            return inner.throw(error)
        except StopIteration:
            self.inner = None
            return self.send(None)
        except BaseException:
            self.close()
            raise

    def close(self):
        waiter = self.waiter
        self.waiter = self.inner = None
        if waiter is not None and self.stream.parked and waiter in self.stream.parked:
            self.stream.parked.remove(waiter)


cdef class Receive(Awaitable):
    """`receive()`: ends with the next message."""

    cpdef bint ready(self) except -1:
        self.message = self.stream.take()
        if self.message is not None:
            return True
        self.stream.connection.wanted(self.stream)
        # What was waited for may have come along while asking.
        self.message = self.stream.take()
        return self.message is not None

    cpdef result(self):
        return self.message


cdef class Drain(Awaitable):
    """`send()` past the high-water mark: ends when the peer has read, raises when it is gone."""

    cpdef bint ready(self) except -1:
        return self.stream.gone or not self.stream.must_wait()

    cpdef result(self):
        if self.stream.gone:
            raise ClientDisconnected("the client is gone")
        return None


cdef class Done:
    """`send()` that has finished; it has no state, so there is one."""

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration

    def send(self, value):
        raise StopIteration

    def throw(self, kind, value=None, traceback=None):
        raise kind if value is None else value

    def close(self):
        return None


DONE = Done()


@cython.freelist(64)
cdef class AppCall:
    """The application's coroutine, stepped. Every step is a turn of the transport."""

    def __init__(self, ASGIStream stream):
        self.stream = stream

    cpdef bint start(self, context) except -1:
        """A step in `context` (contextvars) without a task to do it. Returns True where the call has ended in it; else a
        task's first step gives what this one waits for (`held`). Raises what is no application error."""
        cdef PyObject* out = NULL
        cdef int kind
        self.context = context
        PyContext_Enter(context)
        try:
            kind = self.step(None, &out)
        finally:
            PyContext_Exit(context)
        if kind == RETURNED:
            return True
        self.held = <object>out
        Py_DECREF(self.held)
        self.holding = True
        return False

    cdef int step(self, value, PyObject** out) except -1:
        """One step: SUSPENDED with what the application waits for in `out`, or RETURNED."""
        cdef PyObject* yielded = NULL
        cdef Transport transport
        cdef bint began
        cdef int kind
        if self.holding:
            Py_INCREF(self.held)
            out[0] = <PyObject*>self.held
            self.holding = False
            self.held = None
            return SUSPENDED
        if self.over:
            if self.failure is not None:
                raise self.failure
            return RETURNED
        transport = self.stream.connection.transport
        began = transport.cork()
        try:
            if self.coroutine is None:
                self.coroutine = self.stream.call()
            kind = PyIter_Send(self.coroutine, value, &yielded)
        except BaseException as error:
            self.ended(error, transport if began else None)
            if isinstance(error, APP_ERRORS):
                return RETURNED
            self.failure = error
            raise
        if kind == SUSPENDED:
            out[0] = yielded
            if began:
                transport.end_turn()
            return SUSPENDED
        Py_DECREF(<object>yielded)
        self.ended(None, transport if began else None)
        return RETURNED

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    cpdef send(self, value):
        cdef PyObject* out = NULL
        if self.step(value, &out) == RETURNED:
            raise StopIteration
        result = <object>out
        Py_DECREF(result)
        return result

    def throw(self, kind, value=None, traceback=None):
        cdef Transport transport
        cdef bint began
        thrown = value if value is not None else kind
        if self.holding:
            # The task was cancelled before it knew what it waits for: so that is cancelled, as the task would have.
            held = self.held
            if hasattr(held, "cancel") and held.cancel():
                return self.send(None)
            self.holding = False
            self.held = None
        if self.over:
            raise thrown
        transport = self.stream.connection.transport
        began = transport.cork()
        try:
            if self.coroutine is None:
                raise thrown
            result = self.coroutine.throw(thrown)
        except StopIteration:
            self.ended(None, transport if began else None)
            raise
        except BaseException as error:
            self.ended(error, transport if began else None)
            if isinstance(error, APP_ERRORS):
                raise StopIteration from None
            raise
        if began:
            transport.end_turn()
        return result

    def close(self):
        if self.over:
            return
        self.holding = False
        self.held = None
        if self.coroutine is not None:
            self.coroutine.close()
        self.ended(GeneratorExit(), None)

    cpdef ended(self, error, Transport transport):
        """The call is over, and with it the turn of `transport` that this step began."""
        self.over = True
        try:
            self.stream.call_ended(error)
        except Exception as fault:
            self.stream.connection.transport.broken(fault)
        if self.task is not None:
            self.stream.runtime.call_over(self, error)
        if transport is not None:
            transport.end_turn()

    # What debuggers and `asyncio.Task.get_stack` look for.

    @property
    def cr_frame(self):
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_code(self):
        return getattr(self.coroutine, "cr_code", None)

    @property
    def cr_running(self):
        return bool(getattr(self.coroutine, "cr_running", False))

    @property
    def cr_await(self):
        return getattr(self.coroutine, "cr_await", None)


@cython.freelist(128)
cdef class Port:
    """What an application gets as `receive` or `send`: as a bound method of its stream, made and called for less."""

    cdef object __weakref__
    cdef vectorcallfunc vectorcall
    cdef readonly ASGIStream __self__

    def __repr__(self):
        return f"<{self.__name__} of {self.__self__!r}>"

    def __eq__(self, other):
        return type(other) is type(self) and (<Port>other).__self__ is self.__self__

    def __hash__(self):
        return hash((type(self), self.__self__))


@cython.final
cdef class ReceivePort(Port):
    __name__ = __qualname__ = "receive"
    __signature__ = Signature()


@cython.final
cdef class SendPort(Port):
    __name__ = __qualname__ = "send"
    __signature__ = Signature([Parameter("message", Parameter.POSITIONAL_OR_KEYWORD)])


cdef PyObject* receive_called(PyObject* self, PyObject** arguments, size_t many, PyObject* names) except NULL:
    if PyVectorcall_NARGS(many) or (names is not NULL and len(<tuple>names)):
        raise TypeError("receive() takes no arguments")
    result = (<ReceivePort>self).__self__.receive()
    Py_INCREF(result)
    return <PyObject*>result


cdef PyObject* send_called(PyObject* self, PyObject** arguments, size_t many, PyObject* names) except NULL:
    cdef Py_ssize_t count = PyVectorcall_NARGS(many)
    if names is not NULL and len(<tuple>names):
        if count or <tuple>names != ("message",):
            raise TypeError("send() takes one argument, message")
    elif count != 1:
        raise TypeError("send() takes one argument, message")
    result = (<SendPort>self).__self__.send(<object>arguments[0])
    Py_INCREF(result)
    return <PyObject*>result


cpdef AppCall new_call(ASGIStream stream):
    """The call of a stream's application."""
    cdef AppCall call = AppCall.__new__(AppCall)
    call.stream = stream
    return call


cpdef receive_of(ASGIStream stream):
    """The `receive` that a stream's application gets."""
    cdef ReceivePort port = ReceivePort.__new__(ReceivePort)
    port.vectorcall = <vectorcallfunc>receive_called
    port.__self__ = stream
    return port


cpdef send_of(ASGIStream stream):
    """The `send` that a stream's application gets."""
    cdef SendPort port = SendPort.__new__(SendPort)
    port.vectorcall = <vectorcallfunc>send_called
    port.__self__ = stream
    return port


cdef call_by_vector(kind, Py_ssize_t offset):
    """Makes the objects of a class callable by the function that each holds at `offset` (PEP 590)."""
    cdef PyTypeObject* it = <PyTypeObject*>kind
    it.tp_vectorcall_offset = offset
    it.tp_call = PyVectorcall_Call
    it.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL
    PyType_Modified(it)


cdef Port _port = ReceivePort.__new__(ReceivePort)
for _class in (ReceivePort, SendPort):
    call_by_vector(_class, <char*>&_port.vectorcall - <char*><void*>_port)


# The slots: NULL without an exception is an end with None.

cdef PyObject* next_of_done(PyObject* self) except? NULL:
    return NULL


cdef PyObject* next_of_awaitable(PyObject* self) except? NULL:
    cdef PyObject* out = NULL
    if (<Awaitable>self).step(None, &out) == RETURNED:
        result = (<Awaitable>self).result()
        if result is not None:
            PyErr_SetObject(StopIteration, result)
        return NULL
    return out


cdef PyObject* next_of_call(PyObject* self) except? NULL:
    cdef PyObject* out = NULL
    (<AppCall>self).step(None, &out)
    return out


(<PyTypeObject*>Done).tp_iternext = <iternextfunc>next_of_done
(<PyTypeObject*>Receive).tp_iternext = <iternextfunc>next_of_awaitable
(<PyTypeObject*>Drain).tp_iternext = <iternextfunc>next_of_awaitable
(<PyTypeObject*>AppCall).tp_iternext = <iternextfunc>next_of_call

for _class in (Receive, Drain, Done, AppCall):
    Coroutine.register(_class)
