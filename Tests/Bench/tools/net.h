/* What the measuring programs share: time, growable bytes, sockets, and the text of the test message. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* Ends the program with status 2: it could not do its work at all. */
_Noreturn void give_up(const char *format, ...) PRINTF_LIKE(1, 2);

/* Microseconds of a clock that never jumps; microseconds of CPU this process has used. */
uint64_t microseconds(void);
uint64_t cpu_microseconds(void);

/* A number within [least, most], or the end. */
long number(const char *option, const char *text, long least, long most);

/* As many descriptors as the system lets this process have. */
void raise_descriptor_limit(void);

/* Bytes [start, end) of data are there to be taken. */
struct bytes {
    char *data;
    size_t start, end, room;
};

void bytes_reserve(struct bytes *bytes, size_t more);
void bytes_add(struct bytes *bytes, const void *data, size_t count);
void bytes_print(struct bytes *bytes, const char *format, ...) PRINTF_LIKE(2, 3);
void bytes_free(struct bytes *bytes);

static inline size_t bytes_count(const struct bytes *bytes) { return bytes->end - bytes->start; }

/* Lines of printable text, none of which begins with a dot; the same for everyone who asks for this size. */
char *message_text(size_t size);

struct sockaddr_in loopback(const char *address, long port);
int listen_at(struct sockaddr_in address);
void send_at_once(int descriptor);

/* Has SIGTERM or SIGINT come? SIGPIPE is ignored from the first call of catch_signals on. */
void catch_signals(void);
bool asked_to_end(void);

#endif
