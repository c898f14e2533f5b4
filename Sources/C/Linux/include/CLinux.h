/* What Linux offers and Glibc's Swift module does not show: it is read without _GNU_SOURCE. */
#ifndef CLINUX_H
#define CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Swift cannot read errno reliably across a thread-local macro in every module; one call for all. */
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
static inline uint64_t linux_epoll_data(const struct epoll_event *event) { return event->data.u64; }

/* The EPOLL constants are an enum whose values do not all fit Swift's import. */
static const uint32_t linux_EPOLLIN = EPOLLIN;
static const uint32_t linux_EPOLLOUT = EPOLLOUT;
static const uint32_t linux_EPOLLRDHUP = EPOLLRDHUP;
static const uint32_t linux_EPOLLHUP = EPOLLHUP;
static const uint32_t linux_EPOLLERR = EPOLLERR;
static const uint32_t linux_EPOLLET = EPOLLET;
static const uint32_t linux_EPOLLONESHOT = EPOLLONESHOT;
static const uint32_t linux_EPOLLEXCLUSIVE = EPOLLEXCLUSIVE;

/* syslog is variadic; and the text must never be the format. */
static inline void linux_syslog(int priority, const char *text) { syslog(priority, "%s", text); }

/* fork is marked unavailable in Swift; only single-threaded programs here call it, to go into the background. */
static inline pid_t linux_fork(void) { return fork(); }

/* prctl is variadic. */
static inline int linux_prctl(int option, unsigned long value) { return prctl(option, value, 0, 0, 0); }

/* fcntl is variadic. */
static inline int linux_fcntl(int fd, int command, int value) { return fcntl(fd, command, value); }

/* open is variadic. */
static inline int linux_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }

/* Memory that holds a secret is cleared even where the compiler sees no reader. */
static inline void linux_wipe(void *memory, size_t size) { explicit_bzero(memory, size); }

/* glibc marks environ; in Swift a global variable is not concurrency-safe. */
extern char **environ;
static inline char **linux_environment(void) { return environ; }

#endif
