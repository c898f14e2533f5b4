/* Tells nginx's mail proxy where every user is: at one address, on the port of the store of the protocol that nginx
 * names. nginx opens a connection for each login; the CPU that this program takes is not nginx's.
 *
 *   authhttp --port PORT --imap PORT --pop3 PORT */
#include "net.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST_REQUEST = 8192, EVENTS = 256 };

struct request {
    int descriptor;
    size_t count;
    char text[LONGEST_REQUEST + 1];
};

static long imap_port = 1, pop3_port = 1;

static void finish(struct request *request) {
    close(request->descriptor);
    free(request);
}

static void answer(struct request *request) {
    bool pop3 = strstr(request->text, "\r\nAuth-Protocol: pop3\r\n") != NULL;
    char text[256];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 127.0.0.1\r\nAuth-Port: %ld\r\n\r\n",
                        pop3 ? pop3_port : imap_port);
    /* So short a text always fits into the buffer of a socket that has sent nothing. */
    if (send(request->descriptor, text, (size_t)size, MSG_NOSIGNAL) != size)
        fprintf(stderr, "authhttp: cannot answer: %s\n", strerror(errno));
}

static void serve(struct request *request) {
    ssize_t count =
        recv(request->descriptor, request->text + request->count, LONGEST_REQUEST - request->count, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count > 0) {
        request->count += (size_t)count;
        request->text[request->count] = 0;
        if (!strstr(request->text, "\r\n\r\n") && request->count < LONGEST_REQUEST) return;
        answer(request);
    }
    finish(request);
}

int main(int count, char **arguments) {
    static const struct option options[] = {{"port", 1, 0, 'p'}, {"imap", 1, 0, 'i'}, {"pop3", 1, 0, 'o'}, {0}};
    long port = 0;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) switch (option) {
        case 'p': port = number("port", optarg, 1, 65535); break;
        case 'i': imap_port = number("imap", optarg, 1, 65535); break;
        case 'o': pop3_port = number("pop3", optarg, 1, 65535); break;
        default: exit(2);
        }
    if (!port || optind != count) give_up("usage: authhttp --port PORT --imap PORT --pop3 PORT");
    catch_signals();
    raise_descriptor_limit();
    int listener = listen_at(loopback("127.0.0.1", port)), queue = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = NULL};
    if (queue < 0 || epoll_ctl(queue, EPOLL_CTL_ADD, listener, &accepting) != 0)
        give_up("epoll: %s", strerror(errno));
    puts("READY");
    fflush(stdout);
    while (!asked_to_end()) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(queue, events, EVENTS, -1);
        for (int event = 0; event < ready; event++) {
            if (events[event].data.ptr) {
                serve(events[event].data.ptr);
                continue;
            }
            for (int descriptor; (descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                struct request *request = malloc(sizeof *request);
                if (!request) give_up("no memory for a request");
                request->descriptor = descriptor;
                request->count = 0;
                struct epoll_event reading = {.events = EPOLLIN, .data.ptr = request};
                epoll_ctl(queue, EPOLL_CTL_ADD, descriptor, &reading);
            }
        }
    }
    return 0;
}
