/* kqueue over epoll, for tests of the kqueue half of csrc/poller.h on Linux: what kqueue(2) says of EVFILT_READ,
 * EVFILT_WRITE and EVFILT_TIMER, and of queues in a child that was forked. Never part of a build that is installed:
 * HYPERCORN_KQUEUE=1 (setup.py) puts this folder first among those of the headers.
 *
 * epoll has one registration for a descriptor, kqueue one for each filter, with its own `udata`. So epoll knows the
 * descriptor alone, and what is registered lies in a table of the queue. A descriptor without a filter is not in epoll,
 * which would tell of its errors. Timers are timerfds in the same epoll. One lock for all queues: order matters here,
 * not speed.
 */
#ifndef HYPERCORN_TESTS_EVENT_H
#define HYPERCORN_TESTS_EVENT_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)

#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_ERROR 0x4000
#define EV_EOF 0x8000

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    intptr_t data;
    void *udata;
};

#define EV_SET(event, a, b, c, d, e, f)                                                                                \
    do {                                                                                                               \
        struct kevent *set_ = (event);                                                                                 \
        set_->ident = (a);                                                                                             \
        set_->filter = (b);                                                                                            \
        set_->flags = (c);                                                                                             \
        set_->fflags = (d);                                                                                            \
        set_->data = (e);                                                                                              \
        set_->udata = (f);                                                                                             \
    } while (0)

enum { KQ_READ, KQ_WRITE, KQ_TIMER, KQ_FILTERS };

typedef struct kq_note {
    struct kq_note *next;
    uintptr_t ident;
    int fd; /* a timer's own, else the ident */
    int on[KQ_FILTERS], once[KQ_FILTERS];
    int clear; /* of the filter for reading: told of once */
    void *udata[KQ_FILTERS];
} kq_note;

typedef struct kq_queue {
    struct kq_queue *next;
    int fd;
    kq_note *notes;
} kq_queue;

static kq_queue *kq_queues;
static int kq_marker = -1; /* in the epoll of every queue, and in no other: nothing ever happens on it */
static pthread_mutex_t kq_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t kq_started = PTHREAD_ONCE_INIT;

static inline int kq_filter(int filter)
{
    return filter == EVFILT_READ ? KQ_READ : filter == EVFILT_WRITE ? KQ_WRITE : filter == EVFILT_TIMER ? KQ_TIMER : -1;
}

static inline void kq_forget(kq_queue *queue)
{
    while (queue->notes) {
        kq_note *note = queue->notes;
        queue->notes = note->next;
        if (note->on[KQ_TIMER])
            (void)close(note->fd);
        free(note);
    }
}

static inline int kq_mark(int fd, int operation)
{
    struct epoll_event event;
    memset(&event, 0, sizeof(event));
    return epoll_ctl(fd, operation, kq_marker, &event);
}

/* "The queue is not inherited by a child created with fork(2)." */
static void kq_child(void)
{
    (void)pthread_mutex_init(&kq_lock, NULL);
    while (kq_queues) {
        kq_queue *queue = kq_queues;
        kq_queues = queue->next;
        kq_forget(queue);
        if (kq_mark(queue->fd, EPOLL_CTL_MOD) == 0) /* else it was closed, and the number is another file's */
            (void)close(queue->fd);
        free(queue);
    }
}

static void kq_before(void) { (void)pthread_mutex_lock(&kq_lock); }
static void kq_after(void) { (void)pthread_mutex_unlock(&kq_lock); }
static void kq_start(void)
{
    kq_marker = eventfd(0, EFD_CLOEXEC);
    (void)pthread_atfork(kq_before, kq_after, kq_child);
}

static inline kq_queue *kq_find(int fd)
{
    kq_queue *queue = kq_queues;
    while (queue && queue->fd != fd)
        queue = queue->next;
    return queue;
}

static inline int kqueue(void)
{
    const int fd = epoll_create1(0);
    kq_queue *queue;
    if (fd < 0)
        return -1;
    (void)pthread_once(&kq_started, kq_start);
    if (kq_mark(fd, EPOLL_CTL_ADD) < 0) {
        (void)close(fd);
        return -1;
    }
    (void)pthread_mutex_lock(&kq_lock);
    queue = kq_find(fd); /* one that was closed, as nobody tells of that */
    if (queue) {
        kq_forget(queue);
    } else if ((queue = calloc(1, sizeof(*queue))) != NULL) {
        queue->fd = fd;
        queue->next = kq_queues;
        kq_queues = queue;
    }
    (void)pthread_mutex_unlock(&kq_lock);
    if (queue == NULL) {
        (void)close(fd);
        errno = ENOMEM;
        return -1;
    }
    return fd;
}

static inline kq_note **kq_note_at(kq_queue *queue, uintptr_t ident, int timer)
{
    kq_note **at = &queue->notes;
    while (*at && ((*at)->ident != ident || (*at)->on[KQ_TIMER] != timer))
        at = &(*at)->next;
    return at;
}

static inline int kq_timer_open(intptr_t milliseconds, int once)
{
    const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec when;
    memset(&when, 0, sizeof(when));
    when.it_value.tv_sec = milliseconds / 1000;
    when.it_value.tv_nsec = milliseconds ? milliseconds % 1000 * 1000000 : 1;
    if (!once)
        when.it_interval = when.it_value;
    if (fd >= 0)
        (void)timerfd_settime(fd, 0, &when, NULL);
    return fd;
}

/* Tells epoll of a descriptor's filters; drops the note that has none. */
static inline int kq_apply(kq_queue *queue, kq_note **at, int known)
{
    kq_note *note = *at;
    struct epoll_event event;
    int done;
    memset(&event, 0, sizeof(event));
    event.data.ptr = note;
    /* Edges are told of for the whole descriptor. Beside writing, EV_CLEAR is told of errors alone. */
    if (note->on[KQ_READ] && note->clear)
        event.events |= note->on[KQ_WRITE] ? 0 : EPOLLIN | EPOLLRDHUP | EPOLLET;
    else if (note->on[KQ_READ] || note->on[KQ_TIMER])
        event.events |= EPOLLIN | EPOLLRDHUP;
    if (note->on[KQ_WRITE])
        event.events |= EPOLLOUT;
    done = epoll_ctl(queue->fd, !event.events ? EPOLL_CTL_DEL : known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, note->fd, &event);
    if (!event.events || (done < 0 && !known)) {
        *at = note->next;
        free(note);
    }
    return done;
}

/* True where the descriptor was closed, and is another file's number now: a queue forgets what is closed. */
static inline int kq_is_stale(kq_queue *queue, kq_note *note)
{
    struct epoll_event event;
    memset(&event, 0, sizeof(event));
    event.data.ptr = note;
    if (note->on[KQ_TIMER] || epoll_ctl(queue->fd, EPOLL_CTL_MOD, note->fd, &event) == 0 || errno != ENOENT)
        return 0;
    memset(note->on, 0, sizeof(note->on));
    return 1;
}

static inline int kq_add(kq_queue *queue, const struct kevent *change, int filter)
{
    kq_note **at = kq_note_at(queue, change->ident, filter == KQ_TIMER);
    const int known = *at != NULL && !kq_is_stale(queue, *at);
    if (*at == NULL) {
        kq_note *note = calloc(1, sizeof(*note));
        if (note == NULL) {
            errno = ENOMEM;
            return -1;
        }
        note->ident = change->ident;
        note->fd = filter == KQ_TIMER ? kq_timer_open(change->data, change->flags & EV_ONESHOT) : (int)change->ident;
        *at = note;
    }
    if (filter == KQ_READ && !(*at)->on[KQ_READ]) /* "re-adding modifies": but not this */
        (*at)->clear = (change->flags & EV_CLEAR) != 0;
    (*at)->on[filter] = 1;
    (*at)->once[filter] = (change->flags & EV_ONESHOT) != 0;
    (*at)->udata[filter] = change->udata;
    return kq_apply(queue, at, known);
}

static inline int kq_drop(kq_queue *queue, kq_note **at, int filter)
{
    const int timer = filter == KQ_TIMER ? (*at)->fd : -1;
    int done;
    (*at)->on[filter] = 0;
    done = kq_apply(queue, at, 1);
    if (timer >= 0)
        (void)close(timer);
    return done;
}

static inline int kq_change(kq_queue *queue, const struct kevent *change)
{
    const int filter = kq_filter(change->filter);
    if (filter < 0) {
        errno = EINVAL;
        return -1;
    }
    if (change->flags & EV_DELETE) {
        kq_note **at = kq_note_at(queue, change->ident, filter == KQ_TIMER);
        if (*at == NULL || !(*at)->on[filter]) {
            errno = ENOENT;
            return -1;
        }
        return kq_drop(queue, at, filter);
    }
    return change->flags & EV_ADD ? kq_add(queue, change, filter) : 0;
}

static inline void kq_event(struct kevent *to, const kq_note *note, int filter, unsigned bits)
{
    memset(to, 0, sizeof(*to));
    to->ident = note->ident;
    to->filter = filter == KQ_READ ? EVFILT_READ : filter == KQ_WRITE ? EVFILT_WRITE : EVFILT_TIMER;
    to->udata = note->udata[filter];
    if (filter == KQ_TIMER) {
        uint64_t expired = 0;
        if (read(note->fd, &expired, sizeof(expired)) > 0)
            to->data = (intptr_t)expired;
        return;
    }
    if (bits & (filter == KQ_READ ? EPOLLRDHUP | EPOLLHUP | EPOLLERR : EPOLLHUP | EPOLLERR))
        to->flags |= EV_EOF;
    if (bits & EPOLLERR)
        to->fflags = ECONNRESET; /* whichever it is: here, who reads a socket's error takes it away */
}

/* Takes up to `room` events of a note that epoll named. */
static inline int kq_take(kq_queue *queue, kq_note *note, unsigned bits, struct kevent *to, int room)
{
    static const unsigned wanted[KQ_FILTERS] = {EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR, EPOLLOUT | EPOLLHUP | EPOLLERR,
                                                EPOLLIN};
    int filter, taken = 0;
    for (filter = 0; filter < KQ_FILTERS && taken < room; filter++) {
        if (!note->on[filter] || !(bits & wanted[filter]))
            continue;
        kq_event(&to[taken++], note, filter, bits);
        if (note->once[filter]) {
            kq_note **at = kq_note_at(queue, note->ident, filter == KQ_TIMER);
            const int last = note->on[KQ_READ] + note->on[KQ_WRITE] + note->on[KQ_TIMER] == 1;
            (void)kq_drop(queue, at, filter);
            if (last)
                break; /* the note is gone */
        }
    }
    return taken;
}

static inline int kq_milliseconds(const struct timespec *timeout)
{
    return timeout ? (int)(timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000) : -1;
}

static inline int kevent(int fd, const struct kevent *changes, int count, struct kevent *events, int room,
                         const struct timespec *timeout)
{
    struct epoll_event ready[256];
    kq_queue *queue;
    int i, found, taken = 0;
    (void)pthread_mutex_lock(&kq_lock);
    queue = kq_find(fd);
    for (i = 0; queue && i < count; i++) {
        if (kq_change(queue, &changes[i]) == 0)
            continue;
        if (taken < room) {
            events[taken] = changes[i];
            events[taken].flags = EV_ERROR;
            events[taken++].data = errno;
        } else {
            (void)pthread_mutex_unlock(&kq_lock);
            return -1;
        }
    }
    (void)pthread_mutex_unlock(&kq_lock);
    if (queue == NULL) {
        errno = EBADF;
        return -1;
    }
    if (taken || !room)
        return taken;
    /* Both filters of a descriptor may be ready: half of the room, and what is left is told of the next time. */
    found = room > 512 ? 256 : room > 1 ? room / 2 : 1;
    found = epoll_wait(fd, ready, found, kq_milliseconds(timeout));
    if (found < 0)
        return -1;
    (void)pthread_mutex_lock(&kq_lock);
    for (i = 0; i < found; i++)
        taken += kq_take(queue, ready[i].data.ptr, ready[i].events, &events[taken], room - taken);
    (void)pthread_mutex_unlock(&kq_lock);
    return taken;
}

#endif
