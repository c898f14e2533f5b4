/* Many mail programs in one: logs in to a proxy, over and over or to stay, and counts. One thread, epoll.
 *
 *   load --protocol imap|pop3 --port PORT --mode login|bulk|idle --sessions N
 *        [--at-once C] [--rate R] [--fetches K] [--tls] [--verify BYTES] [--user 'user%ld'] [--users N]
 *        [--password TEXT] [--address ADDRESS] [--patience SECONDS] [--run-on]
 *
 *   login  connect, log in, log out, N times; C at once, or with --rate R begun each second whatever the answers do
 *   bulk   N sessions (IMAP), each of which fetches a message K times; --verify compares it with what a store sends
 *   idle   N sessions, C logging in at once, which stay
 *
 * bulk and idle print READY when all have logged in and wait for a line on standard input, so that somebody can look
 * at the proxy; bulk prints DONE after the last message and waits for another. Then all log out. --run-on waits for
 * nothing.
 *
 * A session that fails is counted, and the first reasons are told on standard error. The last line is JSON, times in
 * microseconds; a latency goes from the connect, with --rate from when that was due, to the answer to the login.
 * Status 0: no session failed. 1: some did. 2: this program could not run. */
#include "net.h"
#include "stream.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_LINE = 8192, EVENTS = 256, SLICE = 256 * 1024, REASONS_TOLD = 5, SECOND = 1000000 };

enum step { FREE, CONNECTING, SHAKING, GREETING, NAMING, LOGGING_IN, READY, FETCHING, LOGGING_OUT };

static const char *const step_names[] = {"nothing",          "connecting",       "the TLS handshake",
                                         "the greeting",     "giving the name",  "the login",
                                         "staying",          "fetching",         "logging out"};

struct session {
    struct stream stream;
    enum step step;
    bool over;
    unsigned tag;
    long number, fetched;
    /* When the connect was due, and when something last happened. */
    uint64_t due, heard;
    struct bytes in, out;
    size_t text_size, text_left;
};

static struct {
    bool pop3, tls, run_on;
    enum { LOGIN, BULK, IDLE } mode;
    long sessions, at_once, rate, fetches, users, patience;
    const char *user, *password;
    char *expected;
    size_t expected_size;
    struct sockaddr_in address;
} wanted = {.at_once = 1, .fetches = 1, .users = 1, .patience = 30, .user = "user%ld", .password = "secret"};

static struct session *sessions;
static long slots, *free_slots, free_count;
static long started, finished, failed, ready, fetching;
static bool fetch_begun, leaving;
static uint64_t text_bytes, begun_at, fetch_at, fetched_at;
static uint32_t *latencies;
static long latency_count;
static SSL_CTX *context;
static char agreed[160];
static int queue;

static void fail(struct session *session, const char *format, ...) PRINTF_LIKE(2, 3);

static void fail(struct session *session, const char *format, ...) {
    if (failed++ < REASONS_TOLD) {
        va_list arguments;
        va_start(arguments, format);
        fprintf(stderr, "load: session %ld, %s: ", session->number, step_names[session->step]);
        vfprintf(stderr, format, arguments);
        fputc('\n', stderr);
        va_end(arguments);
    }
    ready -= session->step == READY;
    fetching -= session->step == FETCHING;
    session->over = true;
}

/* --- What a mail program says --- */

static void say_login(struct session *session) {
    long user = session->number % wanted.users;
    if (wanted.pop3) {
        session->step = NAMING;
        bytes_add(&session->out, "USER ", 5);
        bytes_print(&session->out, wanted.user, user);
        bytes_add(&session->out, "\r\n", 2);
        return;
    }
    session->step = LOGGING_IN;
    bytes_print(&session->out, "t%u LOGIN ", ++session->tag);
    bytes_print(&session->out, wanted.user, user);
    bytes_print(&session->out, " %s\r\n", wanted.password);
}

static void say_logout(struct session *session) {
    session->step = LOGGING_OUT;
    if (wanted.pop3)
        bytes_print(&session->out, "QUIT\r\n");
    else
        bytes_print(&session->out, "t%u LOGOUT\r\n", ++session->tag);
}

static void say_fetch(struct session *session) {
    session->step = FETCHING;
    session->text_size = 0;
    bytes_print(&session->out, "t%u FETCH 1 BODY[]\r\n", ++session->tag);
}

/* --- What it hears --- */

enum verdict { NOT_YET, YES, NO };

static enum verdict verdict_of(struct session *session, const char *line) {
    if (wanted.pop3) return strncmp(line, "+OK", 3) == 0 ? YES : NO;
    char tag[16];
    int size = snprintf(tag, sizeof tag, "t%u ", session->tag);
    if (strncmp(line, tag, (size_t)size) == 0) return strncasecmp(line + size, "OK", 2) == 0 ? YES : NO;
    return strncasecmp(line, "* BYE", 5) == 0 && session->step != LOGGING_OUT ? NO : NOT_YET;
}

static void logged_in(struct session *session) {
    latencies[latency_count++] = (uint32_t)(microseconds() - session->due);
    if (wanted.mode == LOGIN) {
        say_logout(session);
    } else {
        session->step = READY;
        ready++;
    }
}

static void fetched(struct session *session) {
    if (session->text_size == 0) {
        fail(session, "there was no message");
        return;
    }
    if (++session->fetched < wanted.fetches) {
        say_fetch(session);
        return;
    }
    fetching--;
    ready++;
    session->step = READY;
    fetched_at = microseconds();
}

static void hear_line(struct session *session, const char *line) {
    if (session->step == GREETING) {
        if (strncmp(line, wanted.pop3 ? "+OK" : "* OK", wanted.pop3 ? 3 : 4) == 0)
            say_login(session);
        else
            fail(session, "%s", line);
        return;
    }
    enum verdict verdict = verdict_of(session, line);
    const char *open = strrchr(line, '{');
    if (verdict == NO || (session->step == READY && strncmp(line, "* ", 2) != 0)) {
        fail(session, "%s", line);
    } else if (verdict == NOT_YET) {
        if (session->step == FETCHING && open && line[strlen(line) - 1] == '}')
            session->text_size = session->text_left = strtoull(open + 1, NULL, 10);
    } else if (session->step == NAMING) {
        session->step = LOGGING_IN;
        bytes_print(&session->out, "PASS %s\r\n", wanted.password);
    } else if (session->step == LOGGING_IN) {
        logged_in(session);
    } else if (session->step == FETCHING) {
        fetched(session);
    } else if (session->step == LOGGING_OUT) {
        finished++;
        session->over = true;
    }
}

static void compare(struct session *session, const char *data, size_t count) {
    size_t at = session->text_size - session->text_left;
    if (session->text_size != wanted.expected_size || memcmp(wanted.expected + at, data, count) != 0)
        fail(session, "the message is not what the store sent");
}

/* Lines are put together in `in`, unless they come whole; the text of a message is counted where it lies. */
static void hear(struct session *session, char *data, size_t count) {
    while (count && !session->over) {
        if (session->text_left) {
            size_t here = count < session->text_left ? count : session->text_left;
            if (wanted.expected) compare(session, data, here);
            text_bytes += here;
            session->text_left -= here;
            data += here;
            count -= here;
            continue;
        }
        char *feed = memchr(data, '\n', count);
        size_t size = feed ? (size_t)(feed - data) + 1 : count;
        if (bytes_count(&session->in) + size > LONGEST_LINE) {
            fail(session, "a line of more than %d bytes", LONGEST_LINE);
            return;
        }
        char *line = data;
        data += size;
        count -= size;
        if (!feed || bytes_count(&session->in)) {
            bytes_add(&session->in, line, size);
            line = session->in.data + session->in.start;
            size = bytes_count(&session->in);
        }
        if (!feed) return;
        while (size && (line[size - 1] == '\n' || line[size - 1] == '\r')) size--;
        line[size] = 0;
        session->in.start = session->in.end;
        hear_line(session, line);
    }
}

/* --- Connections --- */

static void finish(struct session *session) {
    stream_close(&session->stream);
    bytes_free(&session->in);
    bytes_free(&session->out);
    session->step = FREE;
    free_slots[free_count++] = session - sessions;
}

static bool connected(struct session *session) {
    int problem = 0;
    socklen_t size = sizeof problem;
    getsockopt(session->stream.descriptor, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem) {
        fail(session, "%s", strerror(problem));
        return false;
    }
    session->step = wanted.tls ? SHAKING : GREETING;
    if (wanted.tls) stream_begin_tls(&session->stream, context);
    return true;
}

static bool shaken(struct session *session) {
    int result = stream_shake_hands(&session->stream);
    if (result == STREAM_BROKEN) fail(session, "%s", session->stream.trouble);
    if (result != 1) return false;
    if (!agreed[0]) stream_describe(&session->stream, agreed, sizeof agreed);
    session->step = GREETING;
    return true;
}

/* Everything that is to be said is said; false when the rest has to wait. */
static bool speak(struct session *session) {
    struct bytes *out = &session->out;
    while (bytes_count(out)) {
        ssize_t count = stream_write(&session->stream, out->data + out->start, bytes_count(out));
        if (count == STREAM_LATER) return false;
        if (count <= 0) {
            fail(session, "%s", count == STREAM_CLOSED ? "closed" : session->stream.trouble);
            return false;
        }
        out->start += (size_t)count;
    }
    return true;
}

static void go_on(struct session *session, bool to_the_end) {
    static char slice[SLICE];
    session->heard = microseconds();
    if (session->step == CONNECTING && !connected(session)) return;
    if (session->step == SHAKING && !shaken(session)) return;
    bool more = true;
    while (!session->over && speak(session) && more) {
        ssize_t count = stream_read(&session->stream, slice, sizeof slice);
        if (count == STREAM_LATER) return;
        if (count <= 0) {
            fail(session, "%s", count == STREAM_CLOSED ? "the connection was closed" : session->stream.trouble);
            return;
        }
        /* A clear text socket that gave less than was asked for is empty; edges tell when it is not any more. */
        more = session->stream.tls || (size_t)count == sizeof slice || to_the_end;
        hear(session, slice, (size_t)count);
    }
}

static void serve(struct session *session, bool to_the_end) {
    go_on(session, to_the_end);
    if (session->over) finish(session);
}

static void begin(uint64_t due) {
    struct session *session = &sessions[free_slots[--free_count]];
    *session = (struct session){.step = CONNECTING, .number = started++, .due = due, .heard = microseconds()};
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    session->stream.descriptor = descriptor;
    /* Clients come from 127.0.0.2, 127.0.0.3 and so on: one address has ports for 28,000 only. */
    struct sockaddr_in from = {.sin_family = AF_INET};
    long clients = 1 + wanted.sessions / 4000 % 250;
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(session->number % clients));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = session};
    if (descriptor < 0 || setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) != 0 ||
        bind(descriptor, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(descriptor, (struct sockaddr *)&wanted.address, sizeof wanted.address) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(queue, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        fail(session, "%s", strerror(errno));
        finish(session);
        return;
    }
    send_at_once(descriptor);
}

/* Begins what may begin now. Returns the microseconds until the next session is due, or -1. */
static int64_t begin_some(void) {
    if (!wanted.rate) {
        while (started < wanted.sessions && free_count && slots - free_count - ready < wanted.at_once)
            begin(microseconds());
        return -1;
    }
    while (started < wanted.sessions) {
        uint64_t due = begun_at + (uint64_t)started * SECOND / (uint64_t)wanted.rate, now = microseconds();
        if (due > now) return (int64_t)(due - now);
        if (!free_count) return -1;
        begin(due);
    }
    return -1;
}

static void end_the_silent(void) {
    uint64_t now = microseconds();
    for (long slot = 0; slot < slots; slot++) {
        struct session *session = &sessions[slot];
        if (session->step == FREE || session->step == READY) continue;
        if (now - session->heard < (uint64_t)wanted.patience * SECOND) continue;
        fail(session, "nothing for %ld s", wanted.patience);
        finish(session);
    }
}

/* --- From all logged in to all logged out --- */

static void announce(const char *word) {
    printf("%s %ld\n", word, ready);
    fflush(stdout);
}

/* Every session that is ready says its next thing. */
static void all_say(void (*say)(struct session *)) {
    for (long slot = 0; slot < slots; slot++) {
        struct session *session = &sessions[slot];
        if (session->step != READY) continue;
        ready--;
        fetching += say == say_fetch;
        say(session);
        serve(session, false);
    }
}

/* Waits for a line on standard input while nothing else is to be done, and yet sees which sessions break. */
static bool told_to_go_on(void) {
    char line[64];
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return wanted.run_on || (poll(&input, 1, 0) > 0 && read(0, line, sizeof line) >= 0);
}

/* True when something was said: then what it led to may have happened already, and nobody should wait for it. */
static bool took_a_step(void) {
    static bool ready_told, done_told;
    if (wanted.mode == LOGIN || leaving || started < wanted.sessions || fetching) return false;
    if (!fetch_begun && ready < slots - free_count) return false;
    if (!ready_told) {
        ready_told = true;
        announce("READY");
    }
    if (wanted.mode == BULK && !fetch_begun) {
        if (!told_to_go_on()) return false;
        fetch_begun = true;
        fetch_at = microseconds();
        all_say(say_fetch);
        return true;
    }
    if (wanted.mode == BULK && !done_told) {
        done_told = true;
        announce("DONE");
    }
    if (!told_to_go_on()) return false;
    leaving = true;
    all_say(say_logout);
    return true;
}

/* --- Sums --- */

static int in_order(const void *left, const void *right) {
    uint32_t one = *(const uint32_t *)left, other = *(const uint32_t *)right;
    return (one > other) - (one < other);
}

static uint32_t percentile(double share) {
    if (!latency_count) return 0;
    long at = (long)(share * (double)latency_count);
    return latencies[at < latency_count ? at : latency_count - 1];
}

static void report(void) {
    double seconds = (double)(microseconds() - begun_at) / SECOND;
    double transfer = fetched_at > fetch_at ? (double)(fetched_at - fetch_at) / SECOND : 0;
    qsort(latencies, (size_t)latency_count, sizeof *latencies, in_order);
    printf("{\"sessions\": %ld, \"finished\": %ld, \"failed\": %ld, \"seconds\": %.6f, \"logins\": %ld, "
           "\"p50\": %u, \"p90\": %u, \"p95\": %u, \"p99\": %u, \"max\": %u, \"bytes\": %lu, "
           "\"transfer_seconds\": %.6f, \"cpu_us\": %lu, \"tls\": \"%s\"}\n",
           started, finished, failed, seconds, latency_count, percentile(0.50), percentile(0.90), percentile(0.95),
           percentile(0.99), percentile(1), text_bytes, transfer, cpu_microseconds(), agreed);
}

static void read_options(int count, char **arguments) {
    static const struct option options[] = {
        {"protocol", 1, 0, 'P'}, {"port", 1, 0, 'p'},     {"address", 1, 0, 'a'}, {"mode", 1, 0, 'm'},
        {"sessions", 1, 0, 'n'}, {"at-once", 1, 0, 'c'},  {"rate", 1, 0, 'r'},    {"fetches", 1, 0, 'k'},
        {"tls", 0, 0, 't'},      {"verify", 1, 0, 'v'},   {"user", 1, 0, 'u'},    {"users", 1, 0, 'U'},
        {"password", 1, 0, 'w'}, {"patience", 1, 0, 'T'}, {"run-on", 0, 0, 'R'},  {0}};
    const char *protocol = "", *mode = "", *host = "127.0.0.1";
    long port = 0;
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) switch (option) {
        case 'P': protocol = optarg; break;
        case 'p': port = number("port", optarg, 1, 65535); break;
        case 'a': host = optarg; break;
        case 'm': mode = optarg; break;
        case 'n': wanted.sessions = number("sessions", optarg, 1, 100000000); break;
        case 'c': wanted.at_once = number("at-once", optarg, 1, 100000); break;
        case 'r': wanted.rate = number("rate", optarg, 1, 100000); break;
        case 'k': wanted.fetches = number("fetches", optarg, 1, 1000000); break;
        case 't': wanted.tls = true; break;
        case 'v': wanted.expected_size = (size_t)number("verify", optarg, 1, 1L << 30); break;
        case 'u': wanted.user = optarg; break;
        case 'U': wanted.users = number("users", optarg, 1, 1000000000); break;
        case 'w': wanted.password = optarg; break;
        case 'T': wanted.patience = number("patience", optarg, 1, 3600); break;
        case 'R': wanted.run_on = true; break;
        default: exit(2);
        }
    wanted.pop3 = strcmp(protocol, "pop3") == 0;
    wanted.mode = strcmp(mode, "bulk") == 0 ? BULK : strcmp(mode, "idle") == 0 ? IDLE : LOGIN;
    const char *percent = strchr(wanted.user, '%');
    if (!port || !wanted.sessions || (!wanted.pop3 && strcmp(protocol, "imap") != 0) || optind != count ||
        (wanted.mode == LOGIN && strcmp(mode, "login") != 0) || (wanted.mode == BULK && wanted.pop3) ||
        (wanted.rate && wanted.mode != LOGIN))
        give_up("usage: see the head of load.c");
    if (!percent || strncmp(percent, "%ld", 3) != 0 || strchr(percent + 1, '%'))
        give_up("--user needs one %%ld, and no other %%");
    if (wanted.expected_size) wanted.expected = message_text(wanted.expected_size);
    wanted.address = loopback(host, port);
}

/* Every place a session can have, and room for every latency. */
static void make_room(void) {
    enum { MOST_AT_A_RATE = 10000 };
    slots = wanted.mode != LOGIN ? wanted.sessions : wanted.rate ? MOST_AT_A_RATE : wanted.at_once;
    if (slots > wanted.sessions) slots = wanted.sessions;
    sessions = calloc((size_t)slots, sizeof *sessions);
    free_slots = calloc((size_t)slots, sizeof *free_slots);
    latencies = calloc((size_t)wanted.sessions, sizeof *latencies);
    if (!sessions || !free_slots || !latencies) give_up("no memory for %ld sessions", wanted.sessions);
    while (free_count < slots) {
        free_slots[free_count] = slots - 1 - free_count;
        free_count++;
    }
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    catch_signals();
    raise_descriptor_limit();
    if (wanted.tls) context = client_tls();
    make_room();
    queue = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event input = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    /* Fails for a file, which can be read at any time; the second that epoll waits at most is soon enough then. */
    if (wanted.mode != LOGIN && !wanted.run_on) epoll_ctl(queue, EPOLL_CTL_ADD, 0, &input);
    begun_at = microseconds();
    uint64_t look_at = begun_at + SECOND;
    while (!asked_to_end() && (started < wanted.sessions || free_count < slots)) {
        /* New sessions begin here only: a slot that was left below may have another event in the same batch. */
        int64_t wait = begin_some();
        if (wait < 0 || wait > SECOND) wait = SECOND;
        if (took_a_step()) wait = 0;
        struct timespec timeout = {.tv_sec = wait / SECOND, .tv_nsec = wait % SECOND * 1000};
        struct epoll_event events[EVENTS];
        int happened = epoll_pwait2(queue, events, EVENTS, &timeout, NULL);
        for (int event = 0; event < happened; event++) {
            struct session *session = events[event].data.ptr;
            if (session && session->step != FREE)
                serve(session, events[event].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        }
        if (microseconds() >= look_at) {
            end_the_silent();
            look_at = microseconds() + SECOND;
        }
    }
    if (asked_to_end()) failed += slots - free_count;
    report();
    return failed != 0;
}
