# types of primitives.pyx
cpdef bytes huffman(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef bint valid_field(bytes name, bytes value) except -1
