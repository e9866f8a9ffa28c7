/* Makes chosen system calls of a process fail: preloaded into a server (LD_PRELOAD), told by a file that both map.
 *
 *   word 0  the call: 1 recv, 2 send, 3 accept, 4 close, 5 shutdown, 6 receive a datagram, 7 send a datagram,
 *           8 send a file, 0 none
 *   word 1  errno
 *   word 2  the peer's port whose descriptors are meant, 0 for any
 *   word 3  how many calls fail; counted down
 *   word 4  how many have failed
 *   word 5  bytes that sendfile has sent, in all
 *
 * read, readv, recv, recvfrom and recvmsg count as recv; write, writev, send, sendto, sendmsg and sendfile as send.
 * close closes, and then says that it failed, as the system does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { RECV = 1, SEND, ACCEPT, CLOSE, SHUTDOWN, RECV_DATAGRAM, SEND_DATAGRAM, SEND_FILE };
static volatile uint32_t *words;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) words = memory;
    }
}

static int port_of(int fd) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int saved = errno, port = -1;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_family == AF_INET) port = ntohs(peer.sin_port);
    errno = saved;
    return port;
}

static int is_datagram(int fd) {
    int type = 0, saved = errno;
    socklen_t length = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0) type = 0;
    errno = saved;
    return type == SOCK_DGRAM;
}

/* The errno with which this call is to fail, or 0. */
static int fails(uint32_t call, int fd) {
    if (!words || !words[3]) return 0;
    if ((words[0] == RECV_DATAGRAM || words[0] == SEND_DATAGRAM) && call <= SEND) {
        if (!is_datagram(fd)) return 0;
        call += RECV_DATAGRAM - RECV;
    }
    if (words[0] != call || (words[2] && port_of(fd) != (int)words[2])) return 0;
    words[3]--;
    words[4]++;
    return (int)words[1];
}

#define REAL(name, result, ...)                                             \
    static result (*real)(__VA_ARGS__);                                     \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)
#define FAIL(call, fd)                                                      \
    do {                                                                    \
        int error = fails(call, fd);                                        \
        if (error) {                                                        \
            errno = error;                                                  \
            return -1;                                                      \
        }                                                                   \
    } while (0)

ssize_t read(int fd, void *data, size_t size) {
    REAL("read", ssize_t, int, void *, size_t);
    FAIL(RECV, fd);
    return real(fd, data, size);
}
ssize_t readv(int fd, const struct iovec *pieces, int count) {
    REAL("readv", ssize_t, int, const struct iovec *, int);
    FAIL(RECV, fd);
    return real(fd, pieces, count);
}
ssize_t recv(int fd, void *data, size_t size, int flags) {
    REAL("recv", ssize_t, int, void *, size_t, int);
    FAIL(RECV, fd);
    return real(fd, data, size, flags);
}
ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length) {
    REAL("recvfrom", ssize_t, int, void *, size_t, int, struct sockaddr *, socklen_t *);
    FAIL(RECV, fd);
    return real(fd, data, size, flags, from, length);
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    REAL("recvmsg", ssize_t, int, struct msghdr *, int);
    FAIL(RECV, fd);
    return real(fd, message, flags);
}
ssize_t write(int fd, const void *data, size_t size) {
    REAL("write", ssize_t, int, const void *, size_t);
    FAIL(SEND, fd);
    return real(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL("writev", ssize_t, int, const struct iovec *, int);
    FAIL(SEND, fd);
    return real(fd, pieces, count);
}
ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL("send", ssize_t, int, const void *, size_t, int);
    FAIL(SEND, fd);
    return real(fd, data, size, flags);
}
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    REAL("sendto", ssize_t, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    FAIL(SEND, fd);
    return real(fd, data, size, flags, to, length);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL("sendmsg", ssize_t, int, const struct msghdr *, int);
    FAIL(SEND, fd);
    return real(fd, message, flags);
}
#define SENDFILE(symbol, type)                                              \
    ssize_t symbol(int fd, int from, type *offset, size_t count) {          \
        REAL(#symbol, ssize_t, int, int, type *, size_t);                   \
        FAIL(SEND, fd);                                                     \
        FAIL(SEND_FILE, fd);                                                \
        ssize_t sent = real(fd, from, offset, count);                       \
        if (words && sent > 0) words[5] += (uint32_t)sent;                  \
        return sent;                                                        \
    }
SENDFILE(sendfile, off_t)
#ifdef __GLIBC__ /* what Python and its extensions call there */
SENDFILE(sendfile64, off64_t)
#endif
int accept4(int fd, struct sockaddr *peer, socklen_t *length, int flags) {
    REAL("accept4", int, int, struct sockaddr *, socklen_t *, int);
    FAIL(ACCEPT, fd);
    return real(fd, peer, length, flags);
}
int accept(int fd, struct sockaddr *peer, socklen_t *length) {
    REAL("accept", int, int, struct sockaddr *, socklen_t *);
    FAIL(ACCEPT, fd);
    return real(fd, peer, length);
}
int shutdown(int fd, int how) {
    REAL("shutdown", int, int, int);
    FAIL(SHUTDOWN, fd);
    return real(fd, how);
}
int close(int fd) {
    REAL("close", int, int);
    int error = fails(CLOSE, fd), result = real(fd);
    if (!error) return result;
    errno = error;
    return -1;
}
