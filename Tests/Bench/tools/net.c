#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t cpu_microseconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

long number(const char *option, const char *text, long least, long most) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < least || value > most)
        give_up("--%s takes a number from %ld to %ld, not \"%s\"", option, least, most, text);
    return value;
}

void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void bytes_reserve(struct bytes *bytes, size_t more) {
    if (bytes->start == bytes->end) bytes->start = bytes->end = 0;
    if (bytes->room - bytes->end >= more) return;
    if (bytes->start) {
        memmove(bytes->data, bytes->data + bytes->start, bytes_count(bytes));
        bytes->end -= bytes->start;
        bytes->start = 0;
        if (bytes->room - bytes->end >= more) return;
    }
    size_t room = bytes->room ? bytes->room : 128;
    while (room - bytes->end < more) room *= 2;
    bytes->data = realloc(bytes->data, room);
    if (!bytes->data) give_up("no memory for %zu bytes", room);
    bytes->room = room;
}

void bytes_add(struct bytes *bytes, const void *data, size_t count) {
    bytes_reserve(bytes, count);
    memcpy(bytes->data + bytes->end, data, count);
    bytes->end += count;
}

void bytes_print(struct bytes *bytes, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (count < 0 || (size_t)count >= sizeof text) give_up("a line to send is too long");
    bytes_add(bytes, text, (size_t)count);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

char *message_text(size_t size) {
    enum { WIDTH = 72 };
    char *text = malloc(size + 1);
    if (!text) give_up("no memory for a message of %zu bytes", size);
    for (size_t at = 0; at < size; at++) {
        size_t column = at % (WIDTH + 2), line = at / (WIDTH + 2);
        text[at] = column == WIDTH ? '\r' : column > WIDTH ? '\n' : (char)('a' + (line + column * 3) % 26);
    }
    return text;
}

struct sockaddr_in loopback(const char *address, long port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, address, &place.sin_addr) != 1) give_up("\"%s\" is no IPv4 address", address);
    return place;
}

int listen_at(struct sockaddr_in address) {
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, 4096) != 0)
        give_up("cannot listen at port %d: %s", ntohs(address.sin_port), strerror(errno));
    return descriptor;
}

void send_at_once(int descriptor) {
    int one = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static volatile sig_atomic_t ending;

static void end(int signal_number) {
    (void)signal_number;
    ending = 1;
}

void catch_signals(void) {
    struct sigaction action = {.sa_handler = end};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool asked_to_end(void) { return ending; }
