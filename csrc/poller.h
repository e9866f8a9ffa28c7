/* A readiness poller: epoll on Linux, kqueue on macOS and the BSDs, behind five functions.
 *
 * A poller is itself a descriptor that becomes readable when one of its sockets is ready, so that any event loop can
 * watch it. Level-triggered. Each function returns -1 and sets errno where the system call does.
 *
 *   hc_poller_open()                     a new poller's descriptor
 *   hc_poller_add(p, fd, what, data)     watches fd for `what`; `data` comes back with its events
 *   hc_poller_change(p, fd, was, what, data)
 *   hc_poller_remove(p, fd, was)         (closing the descriptor does it too)
 *   hc_poller_ready(p, events, n)        takes up to n events without waiting; returns how many
 *
 * and hc_let_others_run(): processes that wait for this processor go first
 */
#ifndef HYPERCORN_POLLER_H
#define HYPERCORN_POLLER_H

#include <errno.h>
#include <stddef.h>

enum { HC_READ = 1, HC_WRITE = 2, HC_GONE = 4, HC_EXCLUSIVE = 8 };

typedef struct {
    void *data;
    int what; /* HC_READ, HC_WRITE, HC_GONE: error or both halves closed */
} hc_event;

#define HC_MAX_EVENTS 512

#if defined(__linux__) && !defined(HC_KQUEUE) /* of a build for tests: tests/platforms/kqueue */

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>
#define HC_HAS_POLLER 1
#define HC_POLLER "epoll"

static inline unsigned hc_epoll_bits(int what)
{
    unsigned bits = 0;
    if (what & HC_READ)
        bits |= EPOLLIN;
    if (what & HC_WRITE)
        bits |= EPOLLOUT;
#ifdef EPOLLEXCLUSIVE
    if (what & HC_EXCLUSIVE)
        bits |= EPOLLEXCLUSIVE;
#endif
    return bits;
}

static inline int hc_poller_open(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int hc_epoll_control(int poller, int operation, int fd, int what, void *data)
{
    struct epoll_event event;
    event.events = hc_epoll_bits(what);
    event.data.ptr = data;
    return epoll_ctl(poller, operation, fd, &event);
}

static inline int hc_poller_add(int poller, int fd, int what, void *data)
{
    return hc_epoll_control(poller, EPOLL_CTL_ADD, fd, what, data);
}

static inline int hc_poller_change(int poller, int fd, int was, int what, void *data)
{
    (void)was;
    return hc_epoll_control(poller, EPOLL_CTL_MOD, fd, what, data);
}

static inline int hc_poller_remove(int poller, int fd, int was)
{
    (void)was;
    return hc_epoll_control(poller, EPOLL_CTL_DEL, fd, 0, NULL);
}

static inline int hc_poller_ready(int poller, hc_event *events, int n)
{
    struct epoll_event ready[HC_MAX_EVENTS];
    int i, found;
    if (n > HC_MAX_EVENTS)
        n = HC_MAX_EVENTS;
    do {
        found = epoll_wait(poller, ready, n, 0);
    } while (found < 0 && errno == EINTR);
    for (i = 0; i < found; i++) {
        events[i].data = ready[i].data.ptr;
        events[i].what = ((ready[i].events & EPOLLIN) ? HC_READ : 0) | ((ready[i].events & EPOLLOUT) ? HC_WRITE : 0) |
                         ((ready[i].events & (EPOLLERR | EPOLLHUP)) ? HC_GONE : 0);
    }
    return found;
}

#elif defined(HC_KQUEUE) || defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) ||                     \
    defined(__NetBSD__) || defined(__DragonFly__)

#include <fcntl.h>
#include <sched.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>
#define HC_HAS_POLLER 1
#define HC_POLLER "kqueue"

static inline int hc_poller_open(void)
{
    int poller = kqueue();
    if (poller >= 0)
        (void)fcntl(poller, F_SETFD, FD_CLOEXEC);
    return poller;
}

static inline int hc_kqueue_one(int poller, int fd, int filter, int flags, void *data)
{
    struct kevent change;
    EV_SET(&change, (unsigned)fd, filter, flags, 0, 0, data);
    return kevent(poller, &change, 1, NULL, 0, NULL);
}

/* The filter for reading stays from add to remove: a connection that is reset is told of whatever it is watched for, as by
 * epoll. Where nobody wants to read, EV_CLEAR has it told of once for what is new, not as long as there is something. */
static inline int hc_kqueue_read(int poller, int fd, int what, void *data)
{
    return hc_kqueue_one(poller, fd, EVFILT_READ, what & HC_READ ? EV_ADD : EV_ADD | EV_CLEAR, data);
}

static inline int hc_poller_add(int poller, int fd, int what, void *data)
{
    if (hc_kqueue_read(poller, fd, what, data) < 0)
        return -1;
    return what & HC_WRITE ? hc_kqueue_one(poller, fd, EVFILT_WRITE, EV_ADD, data) : 0;
}

static inline int hc_poller_change(int poller, int fd, int was, int what, void *data)
{
    if ((was ^ what) & HC_READ) /* EV_CLEAR cannot be changed */
        if (hc_kqueue_one(poller, fd, EVFILT_READ, EV_DELETE, NULL) < 0 || hc_kqueue_read(poller, fd, what, data) < 0)
            return -1;
    if ((was ^ what) & HC_WRITE)
        return hc_kqueue_one(poller, fd, EVFILT_WRITE, what & HC_WRITE ? EV_ADD : EV_DELETE, data);
    return 0;
}

static inline int hc_poller_remove(int poller, int fd, int was)
{
    if (hc_kqueue_one(poller, fd, EVFILT_READ, EV_DELETE, NULL) < 0)
        return -1;
    return was & HC_WRITE ? hc_kqueue_one(poller, fd, EVFILT_WRITE, EV_DELETE, NULL) : 0;
}

static inline int hc_poller_ready(int poller, hc_event *events, int n)
{
    struct kevent ready[HC_MAX_EVENTS];
    struct timespec now = {0, 0};
    int i, found;
    if (n > HC_MAX_EVENTS)
        n = HC_MAX_EVENTS;
    do {
        found = kevent(poller, NULL, 0, ready, n, &now);
    } while (found < 0 && errno == EINTR);
    for (i = 0; i < found; i++) {
        events[i].data = ready[i].udata;
        /* An end of file is found by reading; with EV_EOF, fflags has the error of the socket. */
        events[i].what = (ready[i].filter == EVFILT_WRITE ? HC_WRITE : HC_READ) |
                         ((ready[i].flags & EV_EOF) && ready[i].fflags ? HC_GONE : 0);
    }
    return found;
}

#else

#define HC_HAS_POLLER 0
#define HC_POLLER "none"
static inline void hc_let_others_run(void) {}
static inline int hc_poller_open(void)
{
    errno = ENOSYS;
    return -1;
}
static inline int hc_poller_add(int p, int fd, int what, void *data)
{
    (void)p;
    (void)fd;
    (void)what;
    (void)data;
    return -1;
}
static inline int hc_poller_change(int p, int fd, int was, int what, void *data)
{
    (void)p;
    (void)fd;
    (void)was;
    (void)what;
    (void)data;
    return -1;
}
static inline int hc_poller_remove(int p, int fd, int was)
{
    (void)p;
    (void)fd;
    (void)was;
    return -1;
}
static inline int hc_poller_ready(int p, hc_event *events, int n)
{
    (void)p;
    (void)events;
    (void)n;
    return -1;
}

#endif

#if HC_HAS_POLLER
static inline void hc_let_others_run(void) { (void)sched_yield(); }
#endif
#endif
