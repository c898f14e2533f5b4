/* What Linux offers and Glibc's Swift module does not show. _GNU_SOURCE must not be defined here: the types would then
 * differ from the same ones in the Glibc module. Functions that need it are in linux.c. */
#ifndef CLINUX_H
#define CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <syslog.h>
#include <unistd.h>

/* errno is a macro over a thread-local. */
static inline int linux_errno(void) { return errno; }

/* epoll_data is a C union: set and read its 64-bit member here. */
static inline int linux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}
static inline int linux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}
static inline void linux_epoll_remove(int epoll, int fd) { epoll_ctl(epoll, EPOLL_CTL_DEL, fd, 0); }
static inline uint64_t linux_epoll_data(const struct epoll_event *event) { return event->data.u64; }

/* The EPOLL and EFD constants are enums whose values do not all import as numbers. */
static const uint32_t linux_EPOLLIN = EPOLLIN;
static const uint32_t linux_EPOLLOUT = EPOLLOUT;
static const uint32_t linux_EPOLLRDHUP = EPOLLRDHUP;
static const uint32_t linux_EPOLLHUP = EPOLLHUP;
static const uint32_t linux_EPOLLERR = EPOLLERR;
static const uint32_t linux_EPOLLET = EPOLLET;
static const uint32_t linux_EPOLLONESHOT = EPOLLONESHOT;
static const uint32_t linux_EPOLLEXCLUSIVE = EPOLLEXCLUSIVE;
static inline int linux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int linux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline int linux_signalfd(const sigset_t *signals) { return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK); }

/* SOCK_ constants are enums; every descriptor here is close-on-exec and non-blocking. accept4 needs _GNU_SOURCE. */
int linux_socket(int family, int type_stream_or_datagram, int protocol);
int linux_accept(int fd, struct sockaddr *address, socklen_t *length);
int linux_socketpair(int fds[2]);
/* pipe2 needs _GNU_SOURCE; close-on-exec, blocking. */
int linux_pipe(int fds[2]);
enum { linux_STREAM = 1, linux_DATAGRAM = 2 };

/* send(2) that raises no SIGPIPE, and one that tries without blocking: MSG_ constants are enums. */
static inline ssize_t linux_send(int fd, const void *bytes, size_t count) {
    return send(fd, bytes, count, MSG_NOSIGNAL);
}

/* syslog is variadic; and the text must never be the format. */
static inline void linux_syslog(int priority, const char *text) { syslog(priority, "%s", text); }

/* fork is marked unavailable in Swift; only single-threaded programs here call it, to go into the background. */
static inline pid_t linux_fork(void) { return fork(); }

/* prctl is variadic. */
static inline int linux_prctl(int option, unsigned long value) { return prctl(option, value, 0, 0, 0); }

/* fcntl and open are variadic. */
static inline int linux_fcntl(int fd, int command, int value) { return fcntl(fd, command, value); }
static inline int linux_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

/* Memory that holds a secret is cleared even where the compiler sees no reader. */
void linux_wipe(void *memory, size_t size);

/* A global variable is not concurrency-safe in Swift's eyes. */
extern char **environ;
static inline char **linux_environment(void) { return environ; }

/* fork and exec in one step, in C because nothing of Swift may run between the two. Child: new descriptors from 3 on
 * (in the order given), 0-2 kept, everything else closed, signals unblocked and default, then directory, group, user
 * (user 0xffffffff: no change; supplementary groups are cleared), and a SIGKILL when the parent dies. Returns the
 * process id; -1 with errno where any step, exec included, failed. listen_pid: 1 sets LISTEN_PID in environment entry
 * 0, which must be "LISTEN_PID=" followed by 12 zeros. */
pid_t linux_spawn(const char *path, char *const arguments[], char *const environment[], const int descriptors[],
                  int descriptor_count, const char *directory, uint32_t user, uint32_t group, int listen_pid);

#endif
