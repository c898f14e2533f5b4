/* What a program says when a signal ends it. In C because nothing of Swift may run in a signal handler. Everything the
 * handler calls is async-signal-safe, but for backtrace(3) and dladdr(3), which are so once they have been called
 * before, unless the crash was in the dynamic linker: an alarm ends the waiting then. */
#define _GNU_SOURCE
#include "crash.h"
#include "CLinux.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
enum { stack_size = 64 * 1024, deepest = 64, most_threads = 1024, patience = 5 };

/* Tells the other threads to write what they have gathered. */
#define FLUSH_SIGNAL (SIGRTMIN + 6)

static struct {
    int prepared;
    char version[32], name[64];
    uintptr_t base, end;
    char build[2 * 20 + 1];
    const char *image;
    const ElfW(Sym) *symbols;
    size_t symbol_count;
    const char *names;
    size_t names_size;
} program;

static atomic_int crashing, flushed;
static atomic_int batching[most_threads], batching_count;
static pthread_key_t stack_key;

/* A line that cannot grow beyond its room. */
struct line {
    char text[640];
    size_t length;
};

static void add(struct line *line, const char *text, size_t most) {
    for (size_t i = 0; i < most && text[i] && line->length < sizeof line->text - 1; i++) {
        unsigned char byte = (unsigned char)text[i];
        line->text[line->length++] = byte < 32 || byte > 126 ? '?' : (char)byte;
    }
}

static void add_text(struct line *line, const char *text) { add(line, text, 400); }

static void add_number(struct line *line, uint64_t number, unsigned base) {
    char digits[24];
    size_t at = sizeof digits;
    do digits[--at] = "0123456789abcdef"[number % base];
    while ((number /= base) && at > 0);
    add(line, digits + at, sizeof digits - at);
}

static void say(struct line *line) {
    line->text[line->length++] = '\n';
    ssize_t ignored = write(2, line->text, line->length);
    (void)ignored;
    line->length = 0;
}

static const char *signal_name(int number) {
    switch (number) {
    case SIGSEGV: return "SIGSEGV, memory that is not there";
    case SIGBUS: return "SIGBUS, memory that cannot be reached";
    case SIGILL: return "SIGILL, a check of the program failed";
    case SIGFPE: return "SIGFPE, arithmetic";
    case SIGABRT: return "SIGABRT, abort";
    case SIGTRAP: return "SIGTRAP, a check of the program failed";
    case SIGSYS: return "SIGSYS, a system call that is not allowed";
    default: return "unknown";
    }
}

static const char *last_part(const char *path) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "?";
}

/* The function of the program's own symbol table that holds the address. */
static const ElfW(Sym) *function_at(uintptr_t address) {
    uintptr_t place = address - program.base;
    const ElfW(Sym) *best = NULL;
    for (size_t i = 0; i < program.symbol_count; i++) {
        const ElfW(Sym) *symbol = &program.symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_value > place) continue;
        if (symbol->st_name >= program.names_size) continue;
        if (!best || symbol->st_value > best->st_value) best = symbol;
    }
    return best;
}

/* No bare address but one of code: what a broken stack holds may be anybody's data. */
static void add_frame(struct line *line, void *frame) {
    uintptr_t address = (uintptr_t)frame;
    const char *name = NULL;
    uintptr_t start = 0;
    if (address >= program.base && address < program.end) {
        add_text(line, program.name);
        add_text(line, "+0x");
        add_number(line, address - program.base, 16);
        const ElfW(Sym) *symbol = function_at(address - 1);
        if (symbol) {
            name = program.names + symbol->st_name;
            start = program.base + symbol->st_value;
        }
    } else {
        Dl_info info;
        if (!dladdr(frame, &info) || !info.dli_fname) {
            add_text(line, "not in any code");
            return;
        }
        add_text(line, last_part(info.dli_fname));
        add_text(line, "+0x");
        add_number(line, address - (uintptr_t)info.dli_fbase, 16);
        name = info.dli_sname;
        start = (uintptr_t)info.dli_saddr;
    }
    if (!name) return;
    add_text(line, " ");
    add_text(line, name);
    add_text(line, "+0x");
    add_number(line, address - start, 16);
}

static uintptr_t place_of(const void *context) {
    const ucontext_t *user = context;
#if defined(__x86_64__)
    return (uintptr_t)user->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)user->uc_mcontext.pc;
#else
    (void)user;
    return 0;
#endif
}

static void report(int number, const siginfo_t *info, const void *context) {
    struct line line = {.length = 0};
    char thread[16] = "";
    prctl(PR_GET_NAME, (unsigned long)thread, 0, 0, 0);
    add_text(&line, "Crash: signal ");
    add_number(&line, (uint64_t)number, 10);
    add_text(&line, " (");
    add_text(&line, signal_name(number));
    add_text(&line, "), thread \"");
    add(&line, thread, sizeof thread);
    add_text(&line, "\", process ");
    add_number(&line, (uint64_t)getpid(), 10);
    if (program.version[0]) add_text(&line, ", version ");
    add_text(&line, program.version);
    add_text(&line, ", build ");
    add_text(&line, program.build[0] ? program.build : "unknown");
    if (info && (info->si_code == SI_USER || info->si_code == SI_QUEUE || info->si_code == SI_TKILL) &&
        info->si_pid != getpid()) {
        add_text(&line, "; sent by process ");
        add_number(&line, (uint64_t)info->si_pid, 10);
    }
    say(&line);

    void *frames[deepest];
    int count = backtrace(frames, deepest), first = 0;
    /* Without the frames of this handler. */
    while (first < count && (uintptr_t)frames[first] != place_of(context)) first++;
    if (first == count) first = 0;
    for (int i = first; i < count; i++) {
        add_text(&line, "Crash: ");
        if (i - first < 10) add_text(&line, " ");
        add_number(&line, (uint64_t)(i - first), 10);
        add_text(&line, " ");
        add_frame(&line, frames[i]);
        say(&line);
    }
}

static void crashed(int number, siginfo_t *info, void *context) {
    int nobody = 0, self = (int)syscall(SYS_gettid);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    if (!atomic_compare_exchange_strong(&crashing, &nobody, self)) {
        /* Another thread tells of its own crash, and its end is ours; or the report itself has failed. */
        while (nobody != self) pause();
        sigaction(number, &standard, NULL);
        return;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigaction(SIGALRM, &standard, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm(patience);
    report(number, info, context);
    linux_batch_flush();
    int others = 0, count = atomic_load(&batching_count);
    for (int i = 0; i < count && i < most_threads; i++) {
        int thread = atomic_load(&batching[i]);
        if (thread && thread != self && syscall(SYS_tgkill, getpid(), thread, FLUSH_SIGNAL) == 0) others++;
    }
    struct timespec tick = {.tv_nsec = 1000000};
    for (int i = 0; i < 200 && atomic_load(&flushed) < others; i++) nanosleep(&tick, NULL);
    sigaction(number, &standard, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    syscall(SYS_tgkill, getpid(), self, number);
    _exit(128 + number);
}

/* In a thread that did not crash: its own lines leave, and nothing it does from now on counts. */
static void flush(int number) {
    (void)number;
    if (!atomic_load(&crashing)) return;
    linux_batch_flush();
    atomic_fetch_add(&flushed, 1);
    for (;;) pause();
}

void crash_note_batch(void) {
    int place = atomic_fetch_add(&batching_count, 1);
    if (place < most_threads) atomic_store(&batching[place], (int)syscall(SYS_gettid));
}

static int read_program(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    (void)data;
    program.base = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD) {
            uintptr_t end = program.base + part->p_vaddr + part->p_memsz;
            if (end > program.end) program.end = end;
        }
        if (part->p_type != PT_NOTE) continue;
        const char *at = (const char *)(program.base + part->p_vaddr), *end = at + part->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
            const char *name = at + sizeof *note;
            const unsigned char *value = (const unsigned char *)name + ((note->n_namesz + 3U) & ~3U);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(name, "GNU", 4) == 0)
                for (unsigned k = 0; k < note->n_descsz && k < 20; k++) {
                    program.build[2 * k] = "0123456789abcdef"[value[k] >> 4];
                    program.build[2 * k + 1] = "0123456789abcdef"[value[k] & 15];
                }
            at = (const char *)value + ((note->n_descsz + 3U) & ~3U);
        }
    }
    return 1; /* The program itself comes first. */
}

/* The symbol table is in the file only; mapped, it costs no memory until it is read. */
static void map_symbols(void) {
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0) return;
    if (fstat(file, &status) == 0 && (size_t)status.st_size > sizeof(ElfW(Ehdr))) {
        size_t size = (size_t)status.st_size;
        const char *image = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
        if (image != MAP_FAILED) {
            const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)image;
            if (head->e_shoff <= size && head->e_shnum * sizeof(ElfW(Shdr)) <= size - head->e_shoff) {
                const ElfW(Shdr) *sections = (const ElfW(Shdr) *)(image + head->e_shoff);
                for (unsigned i = 0; i < head->e_shnum; i++) {
                    const ElfW(Shdr) *table = &sections[i];
                    if (table->sh_type != SHT_SYMTAB || table->sh_link >= head->e_shnum) continue;
                    const ElfW(Shdr) *names = &sections[table->sh_link];
                    if (table->sh_offset > size || table->sh_size > size - table->sh_offset) continue;
                    if (names->sh_offset > size || names->sh_size > size - names->sh_offset || !names->sh_size) continue;
                    if (image[names->sh_offset + names->sh_size - 1] != 0) continue;
                    program.symbols = (const ElfW(Sym) *)(image + table->sh_offset);
                    program.symbol_count = table->sh_size / sizeof(ElfW(Sym));
                    program.names = image + names->sh_offset;
                    program.names_size = names->sh_size;
                }
            }
            if (!program.symbols) munmap((void *)image, size);
        }
    }
    close(file);
}

static void free_stack(void *stack) {
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    munmap(stack, stack_size);
}

void linux_crash_prepare(const char *version) {
    if (program.prepared) return;
    snprintf(program.version, sizeof program.version, "%s", version);
    char path[4096] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    snprintf(program.name, sizeof program.name, "%s", length > 0 ? last_part(path) : "?");
    dl_iterate_phdr(read_program, NULL);
    map_symbols();
    /* The first calls load libraries and allocate. */
    void *frame[2];
    Dl_info info;
    if (backtrace(frame, 2) > 0) dladdr(frame[0], &info);
    if (pthread_key_create(&stack_key, free_stack) != 0) return;
    program.prepared = 1;
    linux_crash_thread();
    struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++) {
        sigdelset(&action.sa_mask, crash_signals[i]);
    }
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++)
        sigaction(crash_signals[i], &action, NULL);
    struct sigaction leave = {.sa_handler = flush, .sa_flags = SA_ONSTACK};
    sigfillset(&leave.sa_mask);
    sigaction(FLUSH_SIGNAL, &leave, NULL);
}

void linux_crash_thread(void) {
    if (!program.prepared) return;
    stack_t present;
    /* Sanitizers bring one and take it away again. */
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE)) {
        void *memory =
            mmap(NULL, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (memory == MAP_FAILED) return;
        stack_t stack = {.ss_sp = memory, .ss_size = stack_size};
        if (sigaltstack(&stack, NULL) != 0) {
            munmap(memory, stack_size);
            return;
        }
        pthread_setspecific(stack_key, memory);
    }
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++) sigaddset(&set, crash_signals[i]);
    sigaddset(&set, FLUSH_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
