cdef class WebSocketSettings:
    cdef public Py_ssize_t max_message_size
    cdef public Py_ssize_t max_frame_size
    cdef public Py_ssize_t max_queue
    cdef public double ping_interval
    cdef public double ping_timeout
    cdef public double close_timeout
    cdef public double handshake_timeout
    cdef public double idle_timeout
    cdef public double lifetime
    cdef public object origins
    cdef public object compression
