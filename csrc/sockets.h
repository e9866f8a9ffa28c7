/* Socket calls as the reactor makes them: without signals, without inheritance, never blocking, retried when
 * interrupted. Each returns what the system call returns, with errno set.
 */
#ifndef HYPERCORN_SOCKETS_H
#define HYPERCORN_SOCKETS_H

#include <errno.h>
#include <stddef.h>

#if !defined(_WIN32)

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#if defined(__linux__) && !defined(HC_KQUEUE)
#define HC_LINUX 1 /* accept4, sendfile */
#include <sys/sendfile.h>
#else
#define HC_LINUX 0
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#define HC_TEXT 64     /* bytes that hold any address of hc_address */
#define HC_PIECE 65536 /* bytes of a file that are read at once */

static inline int hc_would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/* Errors of accept() that concern one peer, not the listener (accept(2), "Error handling"). */
static inline int hc_peer_failed(int error)
{
    switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ECONNRESET:
    case ETIMEDOUT:
    case EPERM:
#if defined(__linux__)
    case ENONET:
#endif
        return 1;
    default:
        return 0;
    }
}

static inline int hc_accept(int listener, struct sockaddr_storage *peer, socklen_t *length)
{
    int fd;
    do {
        *length = sizeof(*peer);
#if HC_LINUX
        fd = accept4(listener, (struct sockaddr *)peer, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
        fd = accept(listener, (struct sockaddr *)peer, length);
#endif
    } while (fd < 0 && errno == EINTR);
#if !HC_LINUX
    if (fd >= 0) {
        int on = 1;
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
#ifdef SO_NOSIGPIPE
        (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
        (void)on;
    }
#endif
    return fd;
}

static inline void hc_no_delay(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* Writes the address as text, returns its port; -1 where it is neither IPv4 nor IPv6. */
static inline int hc_address(const struct sockaddr_storage *address, char text[HC_TEXT])
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        if (inet_ntop(AF_INET, &in->sin_addr, text, HC_TEXT) == NULL)
            return -1;
        return ntohs(in->sin_port);
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        if (inet_ntop(AF_INET6, &in6->sin6_addr, text, HC_TEXT) == NULL)
            return -1;
        return ntohs(in6->sin6_port);
    }
    return -1;
}

static inline int hc_local(int fd, struct sockaddr_storage *address)
{
    socklen_t length = sizeof(*address);
    return getsockname(fd, (struct sockaddr *)address, &length);
}

static inline ssize_t hc_receive(int fd, void *buffer, size_t size)
{
    ssize_t n;
    do {
        n = recv(fd, buffer, size, 0);
    } while (n < 0 && errno == EINTR);
    return n;
}

static inline ssize_t hc_send(int fd, const void *data, size_t size)
{
    ssize_t n;
    do {
        n = send(fd, data, size, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

#ifndef MSG_MORE
#define MSG_MORE 0
#endif

/* `more`: something follows at once, so that a segment need not leave half full. */
static inline ssize_t hc_send_many(int fd, struct iovec *pieces, size_t count, int more)
{
    struct msghdr message;
    ssize_t n;
    memset(&message, 0, sizeof(message));
    message.msg_iov = pieces;
    message.msg_iovlen = count;
    do {
        n = sendmsg(fd, &message, more ? MSG_NOSIGNAL | MSG_MORE : MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Sends a piece of a file whose filesystem the kernel does not send from by itself. */
static inline ssize_t hc_send_read(int fd, int file, off_t *offset, size_t size)
{
    char piece[HC_PIECE];
    ssize_t n;
    do {
        n = pread(file, piece, size < sizeof(piece) ? size : sizeof(piece), *offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n;
    n = hc_send(fd, piece, (size_t)n);
    if (n > 0)
        *offset += n;
    return n;
}

/* Sends up to `size` bytes of a file from *offset, and moves *offset on. 0: the file has ended. */
static inline ssize_t hc_send_file(int fd, int file, off_t *offset, size_t size)
{
#if HC_LINUX
    ssize_t n;
    do {
        n = sendfile(fd, file, offset, size);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
        return hc_send_read(fd, file, offset, size);
    }
    return n;
#else
    (void)fd;
    (void)file;
    (void)offset;
    (void)size;
    errno = ENOSYS;
    return -1;
#endif
}

#endif
#endif
