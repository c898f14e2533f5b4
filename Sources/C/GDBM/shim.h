/* GDBM for Swift; each function below stands for what Swift cannot call itself. */
#include <gdbm.h>
#include <sys/syscall.h>
#include <unistd.h>

/* gdbm_errno is a macro over a function. */
static inline int gdbm_last_error(void) { return gdbm_errno; }

/* memfd_create(2) is declared under _GNU_SOURCE only: a nameless file in memory, close-on-exec. */
static inline int gdbm_memory_file(void) { return (int)syscall(SYS_memfd_create, "gdbm", 1U); }
