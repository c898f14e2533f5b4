/* The system calls of a login through a proxy, and nothing else: what no proxy can go below on a machine.
 *
 *   bare --protocol imap|pop3 --port PORT --store PORT [--address ADDRESS] [--threads N]
 *
 * It accepts, greets, takes the client's first bytes for a LOGIN, connects to the one store there is, hands them over
 * when that greets, and passes bytes on until one end closes; the last bytes leave with the end. With POP3 it says yes to
 * the first bytes, takes the second for the password, and logs in by an AUTH of its own, which takes one round trip as
 * LOGIN does. It looks nobody up, logs nothing, has no limits and no timers, and does not look at what it passes on. Each
 * thread has an epoll set. */
#include "net.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BURST = 16, PIECE = 65536 };

static const struct protocol {
    const char *name, *greeting, *go_on, *login;
} protocols[] = {
    {"imap", "* OK [CAPABILITY IMAP4rev1 LITERAL+] bare ready\r\n", NULL, NULL},
    {"pop3", "+OK bare ready\r\n", "+OK\r\n", "AUTH PLAIN AGJhcmUAYmFyZQ==\r\n"},
}, *protocol;
static int listening;
static struct sockaddr_in store;

struct session;

/* What epoll hands back; NULL stands for the listening socket. */
struct end {
    struct session *session;
    struct end *other;
    int descriptor;
};

struct session {
    struct end client, server;
    enum { AT_USER, AT_LOGIN, AT_GREETING, RELAYING } expects;
    /* Ended in this turn: events of its other end may follow. */
    bool over;
    struct session *next;
    size_t count;
    char login[512];
};

static _Thread_local struct session *ended;

static void finish(struct session *session) {
    close(session->client.descriptor);
    if (session->server.descriptor >= 0) close(session->server.descriptor);
    session->over = true;
    session->next = ended;
    ended = session;
}

static void watch(int set, int descriptor, struct end *end) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    if (epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl: %s", strerror(errno));
}

static void accept_some(int set) {
    for (int left = BURST; left > 0; left--) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        int descriptor = accept4(listening, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) return;
        struct session *session = malloc(sizeof *session);
        if (!session) give_up("no memory for a session");
        session->client = (struct end){session, &session->server, descriptor};
        session->server = (struct end){session, &session->client, -1};
        session->expects = protocol->go_on ? AT_USER : AT_LOGIN;
        session->over = false;
        watch(set, descriptor, &session->client);
        send(descriptor, protocol->greeting, strlen(protocol->greeting), MSG_NOSIGNAL);
    }
}

/* The login is kept until the store greets. */
static bool connect_to_store(int set, struct session *session) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    session->server.descriptor = descriptor;
    if (descriptor < 0) return false;
    send_at_once(descriptor);
    if (connect(descriptor, (struct sockaddr *)&store, sizeof store) != 0 && errno != EINPROGRESS) return false;
    watch(set, descriptor, &session->server);
    return true;
}

static void ready(int set, struct end *end, char *piece) {
    struct session *session = end->session;
    bool is_server = end == &session->server;
    /* Who speaks out of turn is heard later: edge-triggered, but the store has no reason to, and the client none but its
     * end, which shows when the next thing is sent to it. */
    if (session->expects != RELAYING && is_server != (session->expects == AT_GREETING)) return;
    ssize_t count = recv(end->descriptor, piece, PIECE, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return finish(session);
    switch (session->expects) {
    case AT_USER:
        session->expects = AT_LOGIN;
        send(end->descriptor, protocol->go_on, strlen(protocol->go_on), MSG_NOSIGNAL);
        return;
    case AT_LOGIN:
        session->count = protocol->login ? strlen(protocol->login) : (size_t)count;
        if (session->count > sizeof session->login) session->count = sizeof session->login;
        memcpy(session->login, protocol->login ? protocol->login : piece, session->count);
        session->expects = AT_GREETING;
        if (!connect_to_store(set, session)) finish(session);
        return;
    case AT_GREETING:
        session->expects = RELAYING;
        send(end->descriptor, session->login, session->count, MSG_NOSIGNAL);
        return;
    case RELAYING: {
        char more;
        bool is_last = is_server && recv(end->descriptor, &more, 1, MSG_PEEK) == 0;
        send(end->other->descriptor, piece, (size_t)count, MSG_NOSIGNAL | (is_last ? MSG_MORE : 0));
        if (is_last) finish(session);
    }
    }
}

static void *serve(void *unused) {
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listen_event = {.events = EPOLLIN | EPOLLEXCLUSIVE, .data.ptr = NULL}, events[EVENTS];
    char *piece = malloc(PIECE);
    if (set < 0 || !piece || epoll_ctl(set, EPOLL_CTL_ADD, listening, &listen_event) != 0)
        give_up("cannot begin: %s", strerror(errno));
    while (!asked_to_end()) {
        int count = epoll_wait(set, events, EVENTS, -1);
        for (int at = 0; at < count; at++) {
            struct end *end = events[at].data.ptr;
            if (!end)
                accept_some(set);
            else if (!end->session->over)
                ready(set, end, piece);
        }
        while (ended) {
            struct session *session = ended;
            ended = session->next;
            free(session);
        }
    }
    /* The other threads wait in epoll. */
    _exit(0);
    return unused;
}

int main(int count, char **words) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},    {"store", required_argument, NULL, 's'},
        {"address", required_argument, NULL, 'a'}, {"threads", required_argument, NULL, 't'},
        {"protocol", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    const char *address = "127.0.0.1";
    long port = 0, store_port = 0, threads = sysconf(_SC_NPROCESSORS_ONLN);
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': port = number("port", optarg, 1, 65535); break;
        case 's': store_port = number("store", optarg, 1, 65535); break;
        case 'a': address = optarg; break;
        case 'r':
            for (size_t at = 0; at < sizeof protocols / sizeof *protocols; at++)
                if (strcmp(protocols[at].name, optarg) == 0) protocol = &protocols[at];
            break;
        case 't': threads = number("threads", optarg, 1, 64); break;
        default: return 2;
        }
    }
    if (!protocol || !port || !store_port) give_up("bare needs --protocol imap or pop3, --port and --store");
    catch_signals();
    raise_descriptor_limit();
    listening = listen_at(loopback(address, port));
    /* The connections have it from the listening socket. */
    send_at_once(listening);
    store = loopback(address, store_port);
    for (long left = threads - 1; left > 0; left--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL) != 0) give_up("cannot start a thread");
    }
    serve(NULL);
}
