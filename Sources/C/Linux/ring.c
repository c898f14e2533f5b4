/* io_uring without its library: an event loop needs five of its operations. */
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct linux_ring {
    int fd;
    /* Submissions: where we add, how many wait to be handed over, and what the kernel has taken. */
    unsigned tail, waiting, mask, entries;
    /* How it waits; and what tells of news where that is left to poll(2), -1 where it is not. */
    unsigned wait_flags;
    int alarm;
    unsigned *kernel_head, *kernel_tail;
    struct io_uring_sqe *submissions;
    /* Completions. */
    unsigned *head, *completion_tail, completion_mask;
    struct io_uring_cqe *completions;
    void *rings;
    size_t rings_size, submissions_size;
};

/* Completions are kept where there is no room for them, waits can have a limit, and what goes well need not be told. */
enum { features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP };
/* IORING_FEAT_NO_IOWAIT and IORING_ENTER_NO_IOWAIT of Linux 6.15, which older headers do not have: a loop that has nothing
 * to do is not to be shown as one that waits for a disk. Older kernels show it so unless it waits by other means. */
enum { feature_no_iowait = 1 << 17, enter_no_iowait = 1 << 7 };

static void *map(int fd, size_t size, off_t what) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
    return memory == MAP_FAILED ? NULL : memory;
}

struct linux_ring *linux_ring_open(unsigned entries, int polls) {
    struct io_uring_params about = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = entries * 8,
    };
    struct linux_ring *ring = calloc(1, sizeof *ring);
    if (!ring) return NULL;
    ring->alarm = -1;
    ring->fd = (int)syscall(SYS_io_uring_setup, entries, &about);
    if (ring->fd < 0) {
        free(ring);
        return NULL;
    }
    size_t submitted = about.sq_off.array + about.sq_entries * sizeof(unsigned);
    size_t completed = about.cq_off.cqes + about.cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = submitted > completed ? submitted : completed;
    ring->submissions_size = about.sq_entries * sizeof(struct io_uring_sqe);
    if ((about.features & features) == features) {
        ring->rings = map(ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
        ring->submissions = map(ring->fd, ring->submissions_size, IORING_OFF_SQES);
    }
    polls = polls || !(about.features & feature_no_iowait);
    /* A poll of the ring itself would not hear of work that the kernel leaves to the next call. */
    if (polls) ring->alarm = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool hears = !polls || syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_EVENTFD, &ring->alarm, 1) == 0;
    if (!ring->rings || !ring->submissions || !hears) {
        linux_ring_close(ring);
        errno = ENOSYS;
        return NULL;
    }
    char *rings = ring->rings;
    ring->wait_flags = IORING_ENTER_GETEVENTS | (polls ? 0 : enter_no_iowait);
    ring->entries = about.sq_entries;
    ring->mask = about.sq_entries - 1;
    ring->kernel_head = (unsigned *)(rings + about.sq_off.head);
    ring->kernel_tail = (unsigned *)(rings + about.sq_off.tail);
    ring->head = (unsigned *)(rings + about.cq_off.head);
    ring->completion_tail = (unsigned *)(rings + about.cq_off.tail);
    ring->completion_mask = about.cq_entries - 1;
    ring->completions = (struct io_uring_cqe *)(rings + about.cq_off.cqes);
    /* Each place stands for itself, for ever. */
    unsigned *places = (unsigned *)(rings + about.sq_off.array);
    for (unsigned at = 0; at < ring->entries; at++) places[at] = at;
    return ring;
}

void linux_ring_close(struct linux_ring *ring) {
    if (ring->submissions) munmap(ring->submissions, ring->submissions_size);
    if (ring->rings) munmap(ring->rings, ring->rings_size);
    close(ring->fd);
    if (ring->alarm >= 0) close(ring->alarm);
    free(ring);
}

/* What the kernel did not take stays for the next time. */
static int enter(struct linux_ring *ring, unsigned least, unsigned flags, void *argument, size_t size) {
    __atomic_store_n(ring->kernel_tail, ring->tail, __ATOMIC_RELEASE);
    long taken = syscall(SYS_io_uring_enter, ring->fd, ring->waiting, least, flags, argument, size);
    int code = taken < 0 ? errno : 0;
    ring->waiting = ring->tail - __atomic_load_n(ring->kernel_head, __ATOMIC_ACQUIRE);
    return code;
}

void linux_ring_submit(struct linux_ring *ring) {
    if (ring->waiting > 0) enter(ring, 0, 0, NULL, 0);
}

int linux_ring_has_completions(const struct linux_ring *ring) {
    return *ring->head != __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE);
}

void linux_ring_wait(struct linux_ring *ring, int milliseconds) {
    bool waits = milliseconds != 0 && !linux_ring_has_completions(ring);
    if (waits && ring->alarm >= 0) {
        enter(ring, 0, ring->wait_flags, NULL, 0);
        struct pollfd news = {.fd = ring->alarm, .events = POLLIN};
        /* The kernel does a few things with each call, and does not tell of what it left. */
        int longest = milliseconds < 0 || milliseconds > 1000 ? 1000 : milliseconds;
        if (linux_ring_has_completions(ring) || poll(&news, 1, longest) < 0) return;
        uint64_t count;
        if (read(ring->alarm, &count, sizeof count) < 0 && errno != EAGAIN) return;
        waits = false;
    }
    struct __kernel_timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    struct io_uring_getevents_arg limit = {.ts = (uintptr_t)&time};
    if (waits && milliseconds > 0)
        enter(ring, 1, ring->wait_flags | IORING_ENTER_EXT_ARG, &limit, sizeof limit);
    else
        enter(ring, waits, ring->wait_flags, NULL, 0);
}

int linux_ring_next(struct linux_ring *ring, struct linux_completion *completion) {
    unsigned head = *ring->head;
    if (head == __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE)) return 0;
    const struct io_uring_cqe *entry = &ring->completions[head & ring->completion_mask];
    *completion = (struct linux_completion){entry->user_data, entry->res, (entry->flags & IORING_CQE_F_MORE) != 0};
    __atomic_store_n(ring->head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

int linux_ring_take(struct linux_ring *ring, uint64_t data, uint64_t ignored, int *result) {
    unsigned end = __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE);
    for (unsigned at = *ring->head; at != end; at++) {
        struct io_uring_cqe *entry = &ring->completions[at & ring->completion_mask];
        if (entry->user_data != data) continue;
        *result = entry->res;
        entry->user_data = ignored;
        return 1;
    }
    return 0;
}

static struct io_uring_sqe *submission(struct linux_ring *ring, int operation, int fd, uint64_t data) {
    if (ring->waiting == ring->entries) linux_ring_submit(ring);
    if (ring->waiting == ring->entries) return NULL;
    struct io_uring_sqe *entry = &ring->submissions[ring->tail & ring->mask];
    ring->tail++;
    ring->waiting++;
    memset(entry, 0, sizeof *entry);
    entry->opcode = (uint8_t)operation;
    entry->fd = fd;
    entry->user_data = data;
    return entry;
}

int linux_ring_watch(struct linux_ring *ring, int fd, uint32_t events, int repeatedly, uint64_t data) {
    struct io_uring_sqe *entry = submission(ring, IORING_OP_POLL_ADD, fd, data);
    if (!entry) return -1;
    if (repeatedly) entry->len = IORING_POLL_ADD_MULTI;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    /* The halves change places, as the lower one had the field for itself first. */
    events = events << 16 | events >> 16;
#endif
    entry->poll32_events = events;
    return 0;
}

int linux_ring_send(struct linux_ring *ring, int fd, const void *bytes, unsigned count, int more, uint64_t data) {
    struct io_uring_sqe *entry = submission(ring, IORING_OP_SEND, fd, data);
    if (!entry) return -1;
    entry->addr = (uintptr_t)bytes;
    entry->len = count;
    /* At once or not at all, and less than all of it is told as a fault. */
    entry->msg_flags = (unsigned)(MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    return 0;
}

int linux_ring_connect(struct linux_ring *ring, int fd, const void *address, unsigned length, uint64_t data) {
    struct io_uring_sqe *entry = submission(ring, IORING_OP_CONNECT, fd, data);
    if (!entry) return -1;
    entry->addr = (uintptr_t)address;
    entry->off = length;
    return 0;
}

int linux_ring_cancel(struct linux_ring *ring, uint64_t operation, uint64_t data) {
    /* For watches, too: IORING_OP_POLL_REMOVE leaves alone one whose event is on its way, and so keeps its file open. */
    struct io_uring_sqe *entry = submission(ring, IORING_OP_ASYNC_CANCEL, -1, data);
    if (!entry) return -1;
    entry->addr = operation;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    return 0;
}

int linux_ring_close_descriptor(struct linux_ring *ring, int fd, uint64_t data) {
    struct io_uring_sqe *entry = submission(ring, IORING_OP_CLOSE, fd, data);
    if (!entry) return -1;
    entry->flags = IOSQE_CQE_SKIP_SUCCESS;
    return 0;
}
