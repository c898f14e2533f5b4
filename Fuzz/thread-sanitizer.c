// Shows ThreadSanitizer the locks that threads wait for.
//
// The sanitizer sees how Swift's Mutex takes and leaves a lock that nobody waits for: by atomic exchanges in our own
// code. What happens to one that somebody waits for is in the library, which is not instrumented: what the next holder
// does would look like a race with what the last one did. Preloaded, this tells the sanitizer of both ends.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

#define swift_function __attribute__((swiftcall))
#define swift_self __attribute__((swift_context))

// In the program under test; other programs that it starts have none.
__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

static void (*lock_next)(uint32_t, swift_self void *) swift_function;
static void (*unlock_next)(swift_self void *) swift_function;

__attribute__((constructor)) static void find(void) {
    *(void **)&lock_next = dlsym(RTLD_NEXT, LOCK);
    *(void **)&unlock_next = dlsym(RTLD_NEXT, UNLOCK);
    // A library that calls them by other names: better no run than one that shows nothing.
    if (__tsan_acquire && (!lock_next || !unlock_next)) abort();
}

swift_function void lock_slow(uint32_t thread, swift_self void *handle) __asm__(LOCK);
swift_function void unlock_slow(swift_self void *handle) __asm__(UNLOCK);

swift_function void lock_slow(uint32_t thread, swift_self void *handle) {
    lock_next(thread, handle);
    __tsan_acquire(handle);
}

swift_function void unlock_slow(swift_self void *handle) {
    __tsan_release(handle);
    unlock_next(handle);
}
