/* What Linux offers and Glibc's Swift module does not show. No system header but stdint.h is included here: a type that
 * two modules declare belongs, for Swift, to whichever was read first. */
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>

/* errno is a macro over a thread-local. */
int linux_errno(void);

/* As struct epoll_event, whose data member is a C union. */
struct linux_event {
    uint32_t events;
    uint64_t data;
}
#ifdef __x86_64__
__attribute__((packed))
#endif
;
/* sys/epoll.h is not in the Glibc module, and its constants are enums that do not all import as numbers. */
static const uint32_t linux_EPOLLIN = 0x001;
static const uint32_t linux_EPOLLOUT = 0x004;
static const uint32_t linux_EPOLLERR = 0x008;
static const uint32_t linux_EPOLLHUP = 0x010;
static const uint32_t linux_EPOLLRDHUP = 0x2000;
static const uint32_t linux_EPOLLEXCLUSIVE = 1U << 28;
static const uint32_t linux_EPOLLONESHOT = 1U << 30;
static const uint32_t linux_EPOLLET = 1U << 31;
int linux_epoll_create(void);
int linux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
int linux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data);
void linux_epoll_remove(int epoll, int fd);
int linux_epoll_wait(int epoll, struct linux_event *events, int count, int milliseconds);

/* io_uring(7), whose system calls the C library does not have: operations are added to a queue, handed over together, and
 * what comes of them is read from another. A ring belongs to the thread that opens it. NULL with errno where the system
 * has none for this program, or one older than Linux 6.1. polls: it waits as before Linux 6.15. */
struct linux_ring;
struct linux_ring *linux_ring_open(unsigned entries, int polls);
void linux_ring_close(struct linux_ring *ring);
/* What came of an operation: its data, a count or a negative errno(3), and whether it goes on. */
struct linux_completion {
    uint64_t data;
    int32_t result;
    int32_t goes_on;
};
/* Hands over what was added. */
void linux_ring_submit(struct linux_ring *ring);
/* The same, and waits for a completion: -1 for as long as it takes, 0 not at all. A signal ends it, too. */
void linux_ring_wait(struct linux_ring *ring, int milliseconds);
int linux_ring_has_completions(const struct linux_ring *ring);
/* The next one; 0 where there is none. */
int linux_ring_next(struct linux_ring *ring, struct linux_completion *completion);
/* That of one operation, ahead of its turn, in which it will have other data; 0 where there is none. */
int linux_ring_take(struct linux_ring *ring, uint64_t data, uint64_t ignored, int *result);
/* Adding; -1 where the queue is full and the system takes nothing from it. Events are those of epoll. Sent is at once what
 * the socket takes, and only what did not go well is told, as is the rule of the last three. */
int linux_ring_watch(struct linux_ring *ring, int fd, uint32_t events, int repeatedly, uint64_t data);
int linux_ring_connect(struct linux_ring *ring, int fd, const void *address, unsigned length, uint64_t data);
int linux_ring_send(struct linux_ring *ring, int fd, const void *bytes, unsigned count, int more, uint64_t data);
int linux_ring_cancel(struct linux_ring *ring, uint64_t operation, uint64_t data);
int linux_ring_close_descriptor(struct linux_ring *ring, int fd, uint64_t data);

/* sys/eventfd.h and sys/signalfd.h are not in the Glibc module; close-on-exec, non-blocking. */
int linux_eventfd(void);
/* Blocks the signals in all threads to come and makes a descriptor that delivers them. */
int linux_signalfd(const int signals[], int count);
/* The next signal that waits; 0 where none does. */
int linux_next_signal(int fd);

/* SOCK_ constants are enums; every descriptor here is close-on-exec and non-blocking. accept4 needs _GNU_SOURCE. The
 * address is a struct sockaddr. */
int linux_socket(int family, int stream_or_datagram, int protocol);
int linux_accept(int fd, void *address, unsigned *length);
int linux_socketpair(int fds[2]);
/* pipe2 needs _GNU_SOURCE; close-on-exec, blocking. */
int linux_pipe(int fds[2]);
enum { linux_STREAM = 1, linux_DATAGRAM = 2 };

/* send(2) that raises no SIGPIPE: MSG_ constants are enums. */
long linux_send(int fd, const void *bytes, size_t count);
/* The same where more, or the end, follows at once and may share a segment. */
long linux_send_more(int fd, const void *bytes, size_t count);

/* Swift has no thread-locals. What a thread that has begun a batch puts into its room, and then adds, is written
 * together when it says so. No room: it has not begun one, or asks for too much. */
int linux_batch_begin(void);
unsigned char *linux_batch_room(int fd, size_t count);
void linux_batch_add(size_t count);
void linux_batch_flush(void);

/* syslog is variadic; and the text must never be the format. */
void linux_syslog(int priority, const char *text);

/* fork is marked unavailable in Swift; only single-threaded programs here call it, to go into the background. */
int linux_fork(void);

/* memfd_create(2) is declared under _GNU_SOURCE only: a nameless file in memory, close-on-exec. */
int linux_memory_file(const char *name);
/* The same of a fixed size that nobody can change any more (fcntl F_ADD_SEALS): whoever maps it cannot be made to touch
 * memory that is not there. Zero throughout, and without memory where nothing is written. */
int linux_sealed_file(const char *name, size_t size);
/* A nameless file that is mapped here to read and write (NULL where that fails); untouched parts take no memory. Sealed, it
 * is as large as that, for ever, and nobody can write to it by any other map or descriptor (F_SEAL_FUTURE_WRITE, where the
 * kernel has it). */
int linux_open_memory(const char *name, size_t size, void **memory);
int linux_seal_memory(int fd, size_t size);
/* mmap(2) returns a pointer that is -1 where it fails, and its flags are macros: shared, to read and write; NULL. */
void *linux_map_shared(int fd, size_t size);
/* The same to read only, and all of the file, whose size it says; NULL as well where its maker could make it smaller
 * (fcntl F_GET_SEALS), and with it touch memory that is not there. */
const void *linux_map_sealed(int fd, size_t *size);

/* A message with a descriptor beside it (sendmsg(2), recvmsg(2), SCM_RIGHTS): made of macros over cmsghdr. Received: the
 * first descriptor, close-on-exec, or -1 where none came; any others are closed. */
long linux_send_descriptor(int fd, const void *bytes, size_t count, int sent);
long linux_receive_descriptor(int fd, void *bytes, size_t count, int *received);

/* sys/pidfd.h is not in the Glibc module; readable when the process has ended. */
int linux_pidfd(int pid);

/* prctl is variadic, and sys/prctl.h is not in the Glibc module. */
int linux_prctl(int option, unsigned long value);
enum { linux_PR_SET_PDEATHSIG = 1, linux_PR_SET_DUMPABLE = 4, linux_PR_SET_NAME = 15, linux_PR_SET_NO_NEW_PRIVS = 38 };

/* capset(2) has no wrapper in the C library, and prctl is variadic. The first takes every capability out of the bounding
 * set, which root alone may (-1 with errno otherwise); the second gives up those this thread has, of every other set. */
int linux_drop_bounding_capabilities(void);
int linux_drop_capabilities(void);

/* fcntl and open are variadic. */
int linux_fcntl(int fd, int command, int value);
int linux_open(const char *path, int flags, unsigned mode);

/* Memory that holds a secret is cleared even where the compiler sees no reader. */
void linux_wipe(void *memory, size_t size);

/* A global variable is not concurrency-safe in Swift's eyes. */
char **linux_environment(void);

/* fork and exec in one step, in C because nothing of Swift may run between the two. Child: new descriptors from 3 on
 * (in the order given), 0-2 kept, everything else closed, signals unblocked and default, then directory, group, user
 * (user 0xffffffff: no change; supplementary groups and capabilities are cleared, and no program gives others), and a
 * SIGKILL when the parent dies. Returns the
 * process id; -1 with errno where any step, exec included, failed. listen_pid: 1 sets LISTEN_PID in environment entry
 * 0, which must be "LISTEN_PID=" followed by 12 zeros. errors: what becomes descriptor 2; -1 for what it is. */
int linux_spawn(const char *path, char *const arguments[], char *const environment[], const int descriptors[],
                int descriptor_count, const char *directory, uint32_t user, uint32_t group, int listen_pid,
                int errors);

/* What tells of a crash (crash.c): from now on a signal that ends this process writes to descriptor 2 which signal and
 * thread it was, and a backtrace; then the lines of every thread's batch are written. version: "" for none. */
void linux_crash_prepare(const char *version);
/* Gives the calling thread a stack of its own for that; nothing where nobody has prepared. */
void linux_crash_thread(void);

#endif
