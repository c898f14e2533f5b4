/* A mail store that is none: accepts every login, and every message is the same text. One thread, no disk, plain TCP,
 * so that what is measured is the proxy in front of it.
 *
 *   store --protocol imap|pop3 --port PORT [--address ADDRESS] [--message BYTES] [--greeting TEXT]
 *
 * Prints READY when it listens. At SIGTERM it prints what it has seen, one line of JSON, and ends. */
#include "net.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define CAPABILITIES "IMAP4rev1 LITERAL+ SASL-IR IDLE ID AUTH=PLAIN"

enum { LONGEST_COMMAND = 65536, EVENTS = 256 };

struct connection {
    int descriptor;
    bool writable_wanted, authenticated, ending;
    enum { AT_COMMAND, IN_AUTHENTICATE, IN_IDLE } expects;
    char tag[32];
    struct bytes in, out;
    /* Up to here of what is in, continuations were sent for literals. */
    size_t invited;
    /* A message goes out behind `out`, and `after` behind the message. */
    size_t message_left;
    struct bytes after;
};

struct word {
    const char *text;
    size_t count;
};

static struct {
    uint64_t connections, logins, messages, not_understood, broken;
} seen;

static bool pop3;
static char *message;
static size_t message_size = 1 << 20;
static const char *greeting = "ready";
static int queue;

/* What a proxy says wrongly must come out, but not in thousands of lines. */
static void complain(const char *what, struct word command) {
    seen.not_understood++;
    if (seen.not_understood <= 10)
        fprintf(stderr, "store: %s: %.*s\n", what, (int)(command.count < 200 ? command.count : 200), command.text);
}

static bool is(struct word word, const char *name) {
    return word.count == strlen(name) && strncasecmp(word.text, name, word.count) == 0;
}

/* Takes an atom, a quoted string or a literal off the front of `rest`; false where nothing is left. */
static bool take(struct word *rest, struct word *taken) {
    const char *at = rest->text, *end = at + rest->count;
    while (at < end && *at == ' ') at++;
    if (at == end) return false;
    const char *begin = at;
    if (*at == '"') {
        begin = ++at;
        while (at < end && *at != '"') at += *at == '\\' && end - at > 1 ? 2 : 1;
        *taken = (struct word){begin, (size_t)(at - begin)};
        if (at < end) at++;
    } else if (*at == '{') {
        size_t count = strtoul(at + 1, NULL, 10);
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at || (size_t)(end - at) <= count) return false;
        *taken = (struct word){at + 1, count};
        at += 1 + count;
    } else {
        while (at < end && *at != ' ') at++;
        *taken = (struct word){begin, (size_t)(at - begin)};
    }
    *rest = (struct word){at, (size_t)(end - at)};
    return true;
}

/* How many bytes of input the next command takes, its literals and its line end included; 0 until all of it is there.
 * Literals that wait for it are asked for. */
static size_t command_size(struct connection *connection) {
    const char *begin = connection->in.data + connection->in.start;
    size_t have = bytes_count(&connection->in), at = 0;
    for (;;) {
        const char *feed = at < have ? memchr(begin + at, '\n', have - at) : NULL;
        if (!feed) return 0;
        size_t next = (size_t)(feed - begin) + 1;
        const char *last = feed;
        while (last > begin + at && (last[-1] == '\r' || last[-1] == '\n')) last--;
        const char *open = pop3 || last == begin + at || last[-1] != '}' ? NULL : memrchr(begin + at, '{', next - at);
        if (!open) return next;
        size_t count = strtoul(open + 1, NULL, 10);
        if (count > LONGEST_COMMAND) return next;
        if (last[-2] != '+' && connection->invited < next) {
            bytes_print(&connection->out, "+ more\r\n");
            connection->invited = next;
        }
        at = next + count;
        if (have < at) return 0;
    }
}

static void send_message(struct connection *connection) {
    seen.messages++;
    connection->message_left = message_size;
}

static void imap_login(struct connection *connection, bool understood) {
    connection->authenticated = understood;
    seen.logins += understood;
    bytes_print(&connection->out, "%s %s\r\n", connection->tag, understood ? "OK logged in" : "NO not like this");
}

static void imap_fetch(struct connection *connection, struct word rest) {
    struct word set;
    if (!connection->authenticated || !take(&rest, &set)) {
        bytes_print(&connection->out, "%s BAD no FETCH now\r\n", connection->tag);
        return;
    }
    bytes_print(&connection->out, "* 1 FETCH (UID 1 BODY[] {%zu}\r\n", message_size);
    send_message(connection);
    bytes_print(&connection->after, ")\r\n%s OK fetched\r\n", connection->tag);
}

static void imap(struct connection *connection, struct word line) {
    struct word rest = line, tag, name, first, second;
    struct bytes *out = &connection->out;
    if (connection->expects == IN_AUTHENTICATE) {
        connection->expects = AT_COMMAND;
        imap_login(connection, line.count > 1);
        return;
    }
    if (connection->expects == IN_IDLE) {
        connection->expects = AT_COMMAND;
        bytes_print(out, "%s %s\r\n", connection->tag, is(line, "DONE") ? "OK no longer idle" : "BAD only DONE");
        return;
    }
    if (!take(&rest, &tag) || tag.count >= sizeof connection->tag || !take(&rest, &name)) {
        complain("no command", line);
        bytes_print(out, "* BAD no command\r\n");
        return;
    }
    memcpy(connection->tag, tag.text, tag.count);
    connection->tag[tag.count] = 0;
    if (is(name, "UID") && !take(&rest, &name)) name = (struct word){"", 0};
    if (is(name, "LOGIN")) {
        bool both = take(&rest, &first) && take(&rest, &second) && !take(&rest, &(struct word){0});
        if (!both) complain("LOGIN without a name and a password", line);
        imap_login(connection, both);
    } else if (is(name, "AUTHENTICATE")) {
        if (!take(&rest, &first) || !is(first, "PLAIN")) {
            bytes_print(out, "%s NO only PLAIN\r\n", connection->tag);
        } else if (take(&rest, &second)) {
            imap_login(connection, true);
        } else {
            connection->expects = IN_AUTHENTICATE;
            bytes_print(out, "+ \r\n");
        }
    } else if (is(name, "CAPABILITY")) {
        bytes_print(out, "* CAPABILITY " CAPABILITIES "\r\n%s OK these\r\n", connection->tag);
    } else if (is(name, "FETCH")) {
        imap_fetch(connection, rest);
    } else if (is(name, "NOOP") || is(name, "CHECK")) {
        bytes_print(out, "%s OK nothing new\r\n", connection->tag);
    } else if (is(name, "ID")) {
        bytes_print(out, "* ID NIL\r\n%s OK no name\r\n", connection->tag);
    } else if (is(name, "SELECT") || is(name, "EXAMINE")) {
        bytes_print(out, "* FLAGS ()\r\n* 1 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 1]\r\n%s OK open\r\n",
                    connection->tag);
    } else if (is(name, "IDLE")) {
        connection->expects = IN_IDLE;
        bytes_print(out, "+ idle\r\n");
    } else if (is(name, "LOGOUT")) {
        bytes_print(out, "* BYE until next time\r\n%s OK logged out\r\n", connection->tag);
        connection->ending = true;
    } else {
        complain("an unknown command", line);
        bytes_print(out, "%s BAD unknown\r\n", connection->tag);
    }
}

static void pop3_login(struct connection *connection) {
    connection->authenticated = true;
    seen.logins++;
    bytes_print(&connection->out, "+OK logged in\r\n");
}

static void pop(struct connection *connection, struct word line) {
    struct word rest = line, name, first, second;
    struct bytes *out = &connection->out;
    if (connection->expects == IN_AUTHENTICATE) {
        connection->expects = AT_COMMAND;
        pop3_login(connection);
    } else if (!take(&rest, &name)) {
        complain("no command", line);
        bytes_print(out, "-ERR no command\r\n");
    } else if (is(name, "USER")) {
        bytes_print(out, "+OK and the password\r\n");
    } else if (is(name, "PASS")) {
        pop3_login(connection);
    } else if (is(name, "AUTH") && take(&rest, &first) && is(first, "PLAIN")) {
        if (take(&rest, &second)) {
            pop3_login(connection);
        } else {
            connection->expects = IN_AUTHENTICATE;
            bytes_print(out, "+ \r\n");
        }
    } else if (is(name, "CAPA")) {
        bytes_print(out, "+OK\r\nUSER\r\nUIDL\r\nTOP\r\nSASL PLAIN\r\n.\r\n");
    } else if (is(name, "STAT")) {
        bytes_print(out, "+OK 1 %zu\r\n", message_size);
    } else if (is(name, "NOOP")) {
        bytes_print(out, "+OK\r\n");
    } else if (is(name, "RETR") && connection->authenticated) {
        bytes_print(out, "+OK %zu octets\r\n", message_size);
        send_message(connection);
        bytes_print(&connection->after, "\r\n.\r\n");
    } else if (is(name, "QUIT")) {
        bytes_print(out, "+OK until next time\r\n");
        connection->ending = true;
    } else {
        complain("an unknown command", line);
        bytes_print(out, "-ERR unknown\r\n");
    }
}

static void finish(struct connection *connection) {
    close(connection->descriptor);
    bytes_free(&connection->in);
    bytes_free(&connection->out);
    bytes_free(&connection->after);
    free(connection);
}

/* 1 when all is sent, 0 when the socket takes no more at present, -1 when it never will. */
static int flush(struct connection *connection) {
    for (;;) {
        struct bytes *parts[2] = {&connection->out, &connection->after};
        struct iovec pieces[3] = {
            {connection->out.data + connection->out.start, bytes_count(&connection->out)},
            {message + message_size - connection->message_left, connection->message_left},
            {connection->after.data + connection->after.start, bytes_count(&connection->after)},
        };
        if (!pieces[0].iov_len && !pieces[1].iov_len && !pieces[2].iov_len) return 1;
        struct msghdr header = {.msg_iov = pieces, .msg_iovlen = 3};
        ssize_t sent = sendmsg(connection->descriptor, &header, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN ? 0 : -1;
        size_t left = (size_t)sent;
        for (int piece = 0; piece < 3; piece++) {
            size_t here = left < pieces[piece].iov_len ? left : pieces[piece].iov_len;
            if (piece == 1)
                connection->message_left -= here;
            else
                parts[piece / 2]->start += here;
            left -= here;
        }
    }
}

/* Carries out the commands that are complete, one message at a time. False when the connection is over. */
static bool work(struct connection *connection) {
    for (;;) {
        int sent = flush(connection);
        if (sent < 0) {
            seen.broken++;
            return false;
        }
        if (sent == 0) break;
        if (connection->ending) return false;
        size_t size = command_size(connection);
        if (size == 0) {
            if (bytes_count(&connection->out) == 0) break;
            continue;
        }
        const char *begin = connection->in.data + connection->in.start;
        struct word line = {begin, size - 1};
        if (line.count && begin[line.count - 1] == '\r') line.count--;
        (pop3 ? pop : imap)(connection, line);
        connection->in.start += size;
        connection->invited = 0;
    }
    bool wanted = bytes_count(&connection->out) || connection->message_left || bytes_count(&connection->after);
    if (wanted != connection->writable_wanted) {
        connection->writable_wanted = wanted;
        struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = connection};
        epoll_ctl(queue, EPOLL_CTL_MOD, connection->descriptor, &event);
    }
    return true;
}

static void serve(struct connection *connection, uint32_t events) {
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        bytes_reserve(&connection->in, 1024);
        size_t room = connection->in.room - connection->in.end;
        ssize_t count = recv(connection->descriptor, connection->in.data + connection->in.end, room, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count < 0) seen.broken++;
        if (count <= 0 || bytes_count(&connection->in) > LONGEST_COMMAND) {
            finish(connection);
            return;
        }
        connection->in.end += (size_t)count;
    }
    if (!work(connection)) finish(connection);
}

static void admit(int listener) {
    for (;;) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN) give_up("cannot accept: %s", strerror(errno));
            return;
        }
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) give_up("no memory for a connection");
        seen.connections++;
        connection->descriptor = descriptor;
        send_at_once(descriptor);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(queue, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl: %s", strerror(errno));
        bytes_print(&connection->out, "%s %s\r\n", pop3 ? "+OK" : "* OK", greeting);
        if (!work(connection)) finish(connection);
    }
}

static void read_options(int count, char **arguments, struct sockaddr_in *address) {
    static const struct option options[] = {{"protocol", 1, 0, 'P'}, {"port", 1, 0, 'p'},     {"address", 1, 0, 'a'},
                                            {"message", 1, 0, 'm'},  {"greeting", 1, 0, 'g'}, {0}};
    const char *host = "127.0.0.1", *protocol = "";
    long port = 0;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) switch (option) {
        case 'P': protocol = optarg; break;
        case 'p': port = number("port", optarg, 1, 65535); break;
        case 'a': host = optarg; break;
        case 'm': message_size = (size_t)number("message", optarg, 1, 1L << 30); break;
        case 'g': greeting = optarg; break;
        default: exit(2);
        }
    pop3 = strcmp(protocol, "pop3") == 0;
    if (!port || (!pop3 && strcmp(protocol, "imap") != 0) || optind != count)
        give_up("usage: store --protocol imap|pop3 --port PORT [--address ADDRESS] [--message BYTES] "
                "[--greeting TEXT]");
    *address = loopback(host, port);
}

int main(int count, char **arguments) {
    struct sockaddr_in address;
    read_options(count, arguments, &address);
    catch_signals();
    raise_descriptor_limit();
    message = message_text(message_size);
    int listener = listen_at(address);
    queue = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = NULL};
    if (queue < 0 || epoll_ctl(queue, EPOLL_CTL_ADD, listener, &accepting) != 0)
        give_up("epoll: %s", strerror(errno));
    puts("READY");
    fflush(stdout);
    while (!asked_to_end()) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(queue, events, EVENTS, -1);
        for (int event = 0; event < ready; event++) {
            if (events[event].data.ptr)
                serve(events[event].data.ptr, events[event].events);
            else
                admit(listener);
        }
    }
    printf("{\"connections\": %lu, \"logins\": %lu, \"messages\": %lu, \"not_understood\": %lu, \"broken\": %lu, "
           "\"cpu_us\": %lu}\n",
           seen.connections, seen.logins, seen.messages, seen.not_understood, seen.broken, cpu_microseconds());
    return 0;
}
