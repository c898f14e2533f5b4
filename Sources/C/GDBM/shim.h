/* GDBM for Swift; each function below stands for what Swift cannot call itself. */
#include <gdbm.h>

/* gdbm_errno is a macro over a function. */
static inline int gdbm_last_error(void) { return gdbm_errno; }
