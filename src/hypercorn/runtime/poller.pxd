# compiled only
# The declarations of csrc/poller.h and csrc/sockets.h.
from libc.stddef cimport size_t
from posix.types cimport off_t

cdef extern from "poller.h" nogil:
    enum:
        HC_HAS_POLLER, HC_READ, HC_WRITE, HC_GONE, HC_EXCLUSIVE, HC_MAX_EVENTS
    const char* HC_POLLER
    ctypedef struct hc_event:
        void* data
        int what
    int hc_poller_open()
    int hc_poller_add(int poller, int fd, int what, void* data)
    int hc_poller_change(int poller, int fd, int was, int what, void* data)
    int hc_poller_remove(int poller, int fd, int was)
    int hc_poller_ready(int poller, hc_event* events, int n)
    void hc_let_others_run()

cdef extern from "sockets.h" nogil:
    enum:
        HC_TEXT, HC_LINUX, AF_INET, AF_INET6, SHUT_WR
    ctypedef unsigned int socklen_t
    struct sockaddr_storage:
        unsigned short ss_family
    struct iovec:
        void* iov_base
        size_t iov_len
    int hc_would_block(int error)
    int hc_peer_failed(int error)
    int hc_accept(int listener, sockaddr_storage* peer, socklen_t* length)
    void hc_no_delay(int fd)
    int hc_address(const sockaddr_storage* address, char* text)
    int hc_local(int fd, sockaddr_storage* address)
    ssize_t hc_receive(int fd, void* buffer, size_t size)
    ssize_t hc_send(int fd, const void* data, size_t size)
    ssize_t hc_send_many(int fd, iovec* pieces, size_t count, int more)
    ssize_t hc_send_file(int fd, int file, off_t* offset, size_t size)
    int shutdown(int fd, int how)
    int close(int fd)
