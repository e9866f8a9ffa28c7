# types of primitives.pyx
cpdef bytes huffman(bytes data, Py_ssize_t start, Py_ssize_t end)
cpdef bint valid_field(bytes name, bytes value) except -1
cpdef bytes unmask(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int mask, unsigned long long offset)
cpdef str unmask_text(bytes data, Py_ssize_t start, Py_ssize_t end, unsigned int mask, unsigned long long offset)
cpdef bytes frame(int first, payload)
