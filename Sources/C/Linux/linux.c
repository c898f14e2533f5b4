#define _GNU_SOURCE
#include "CLinux.h"
#include "crash.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <syslog.h>
#include <unistd.h>

_Static_assert(sizeof(struct linux_event) == sizeof(struct epoll_event), "epoll_event");
_Static_assert(offsetof(struct linux_event, data) == offsetof(struct epoll_event, data), "epoll_event");

int linux_errno(void) { return errno; }

int linux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int linux_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int linux_epoll_modify(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data = {.u64 = data}};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

void linux_epoll_remove(int epoll, int fd) { epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); }

int linux_epoll_wait(int epoll, struct linux_event *events, int count, int milliseconds) {
    return epoll_wait(epoll, (struct epoll_event *)events, count, milliseconds);
}

int linux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int linux_signalfd(const int signals[], int count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int linux_next_signal(int fd) {
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

int linux_socket(int family, int type, int protocol) {
    int kind = type == linux_STREAM ? SOCK_STREAM : SOCK_DGRAM;
    return socket(family, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int linux_accept(int fd, void *address, unsigned *length) {
    return accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int linux_socketpair(int fds[2]) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds); }

int linux_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

long linux_send(int fd, const void *bytes, size_t count) { return send(fd, bytes, count, MSG_NOSIGNAL); }

long linux_send_more(int fd, const void *bytes, size_t count) {
    return send(fd, bytes, count, MSG_NOSIGNAL | MSG_MORE);
}

enum { batch_room = 64 * 1024 };
static __thread struct {
    unsigned char *bytes;
    size_t count;
    int fd;
} batch;

int linux_batch_begin(void) {
    if (!batch.bytes && (batch.bytes = malloc(batch_room))) crash_note_batch();
    return batch.bytes != NULL;
}

void linux_batch_flush(void) {
    size_t sent = 0;
    while (sent < batch.count) {
        long count = write(batch.fd, batch.bytes + sent, batch.count - sent);
        if (count > 0) sent += (size_t)count;
        else if (count == 0 || errno != EINTR) break;
    }
    batch.count = 0;
}

unsigned char *linux_batch_room(int fd, size_t count) {
    if (!batch.bytes || count > batch_room) return NULL;
    if (batch.count > 0 && (batch.fd != fd || batch.count + count > batch_room)) linux_batch_flush();
    batch.fd = fd;
    return batch.bytes + batch.count;
}

void linux_batch_add(size_t count) { batch.count += count; }

void linux_syslog(int priority, const char *text) { syslog(priority, "%s", text); }

int linux_fork(void) { return fork(); }

int linux_memory_file(const char *name) { return (int)syscall(SYS_memfd_create, name, 1U /* MFD_CLOEXEC */); }

static int file_of_size(const char *name, size_t size) {
    int fd = (int)syscall(SYS_memfd_create, name, 3U /* MFD_CLOEXEC | MFD_ALLOW_SEALING */);
    if (fd < 0 || ftruncate(fd, (off_t)size) == 0) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

static int sealed(int fd, int seals) { return fcntl(fd, 1033 /* F_ADD_SEALS */, seals) == 0; }

int linux_sealed_file(const char *name, size_t size) {
    int fd = file_of_size(name, size);
    /* F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW */
    if (fd < 0 || sealed(fd, 7)) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

int linux_open_memory(const char *name, size_t size, void **memory) {
    int fd = file_of_size(name, size);
    *memory = fd < 0 ? NULL : linux_map_shared(fd, size);
    return fd;
}

int linux_seal_memory(int fd, size_t size) {
    if (ftruncate(fd, (off_t)size) != 0) return -1;
    /* F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW and F_SEAL_FUTURE_WRITE, which Linux 5.1 brought. */
    return sealed(fd, 0x17) || sealed(fd, 7) ? 0 : -1;
}

void *linux_map_shared(int fd, size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

const void *linux_map_sealed(int fd, size_t *size) {
    struct stat status;
    /* F_GET_SEALS, F_SEAL_SHRINK: their macros hide behind _GNU_SOURCE in older headers. */
    int seals = fcntl(fd, 1034);
    if (seals < 0 || !(seals & 2) || fstat(fd, &status) != 0 || status.st_size <= 0) return NULL;
    *size = (size_t)status.st_size;
    /* All of it at once, since each page would be a fault of its own later. */
    void *memory = mmap(NULL, *size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

long linux_send_descriptor(int fd, const void *bytes, size_t count, int sent) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &sent, sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

long linux_receive_descriptor(int fd, void *bytes, size_t count, int *received) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control = {.room = {0}};
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    *received = -1;
    long got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return got;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= head->cmsg_len; at += sizeof(int)) {
            int one;
            memcpy(&one, CMSG_DATA(head) + at, sizeof one);
            if (*received < 0) *received = one;
            else close(one);
        }
    }
    return got;
}

int linux_pidfd(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int linux_prctl(int option, unsigned long value) { return prctl(option, value, 0, 0, 0); }

int linux_drop_bounding_capabilities(void) {
    for (unsigned long number = 0; number < 64; number++)
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return errno == EINVAL ? 0 : -1;
    return 0;
}

int linux_drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3];
    /* A service manager that leaves us none may forbid the call as well. */
    if (syscall(SYS_capget, &header, have) == 0 && memcmp(have, none, sizeof none) == 0) return 0;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return (int)syscall(SYS_capset, &header, none);
}

int linux_fcntl(int fd, int command, int value) { return fcntl(fd, command, value); }

int linux_open(const char *path, int flags, unsigned mode) { return open(path, flags, mode); }

void linux_wipe(void *memory, size_t size) { explicit_bzero(memory, size); }

extern char **environ;
char **linux_environment(void) { return environ; }

static void report_and_exit(int report) {
    int code = errno;
    ssize_t ignored = write(report, &code, sizeof code);
    (void)ignored;
    _exit(127);
}

static void child(const char *path, char *const arguments[], char *const environment[], const int descriptors[],
                  int count, const char *directory, uint32_t user, uint32_t group, int listen_pid, int errors,
                  int report, pid_t parent) {
    sigset_t none;
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 65; number++) sigaction(number, &standard, NULL);
    /* A SIGHUP sent before the program watches for it must not end it; blocked, it is queued although ignored. */
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    /* First out of the way, above everything that is to be put in place, then down. */
    int floor = 3 + count + 1, moved[96];
    if (count > 96) {
        errno = E2BIG;
        report_and_exit(report);
    }
    if (errors >= 0 && dup2(errors, 2) < 0) report_and_exit(report);
    report = fcntl(report, F_DUPFD_CLOEXEC, floor);
    for (int i = 0; i < count; i++) {
        moved[i] = fcntl(descriptors[i], F_DUPFD_CLOEXEC, floor);
        if (moved[i] < 0) report_and_exit(report);
    }
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], 3 + i) < 0) report_and_exit(report);
    if (syscall(SYS_close_range, 3 + count, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) != 0)
        for (int fd = 3 + count; fd < 1024; fd++)
            if (fd != report) fcntl(fd, F_SETFD, FD_CLOEXEC);

    if (directory && chdir(directory) != 0) report_and_exit(report);
    if (user != 0xffffffffU) {
        /* Where a container has not left us the right to, nothing can be regained all the same. */
        linux_drop_bounding_capabilities();
        if (setgroups(0, NULL) != 0 || setgid(group) != 0 || setuid(user) != 0) report_and_exit(report);
        if (linux_drop_capabilities() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) report_and_exit(report);
    }
    /* After the change of user, which would clear it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(127);
    if (listen_pid && environment[0]) sprintf(environment[0], "LISTEN_PID=%ld", (long)getpid());
    execve(path, arguments, environment);
    report_and_exit(report);
}

int linux_spawn(const char *path, char *const arguments[], char *const environment[], const int descriptors[],
                  int count, const char *directory, uint32_t user, uint32_t group, int listen_pid, int errors) {
    int report[2], code = 0;
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(path, arguments, environment, descriptors, count, directory, user, group, listen_pid, errors,
              report[1], parent);
    code = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid > 0) {
        ssize_t got;
        do got = read(report[0], &code, sizeof code);
        while (got < 0 && errno == EINTR);
        close(report[0]);
        if (got == sizeof code) {
            errno = code;
            return -1;
        }
        return pid;
    }
    close(report[0]);
    errno = code;
    return -1;
}
