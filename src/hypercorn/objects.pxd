# types of objects.pyx
cpdef bytes part_of(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef bint same_text(one, str other) except -1
