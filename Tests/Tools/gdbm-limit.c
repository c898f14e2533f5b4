/* What GDBM does by itself: lookups of random users in the file that Tests/MapTests/GDBM/setup makes, from one thread
 * with the file open all the time.
 *
 *     cc -O2 -o gdbm-limit gdbm-limit.c -lgdbm && ./gdbm-limit /tmp/map/popmap.gdbm.db 100000 */
#include <gdbm.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    long lookups = argc > 2 ? atol(argv[2]) : 100000, found = 0;
    char name[32];
    GDBM_FILE file = argc < 2 ? NULL : gdbm_open(argv[1], 0, GDBM_READER | GDBM_NOLOCK, 0, NULL);
    if (file == NULL) {
        fprintf(stderr, "usage: gdbm-limit FILE [LOOKUPS]\n");
        return 2;
    }
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < lookups; i++) {
        datum key = {name, snprintf(name, sizeof name, "user%d", rand() % 100000)};
        datum value = gdbm_fetch(file, key);
        if (value.dptr != NULL) {
            found++;
            free(value.dptr);
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f lookups/s, %.2f us of CPU each\n", lookups / wall, cpu * 1e6 / lookups);
    gdbm_close(file);
    return found == lookups ? 0 : 1;
}
