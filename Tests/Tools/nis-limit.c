/* What the client library of NIS does by itself: lookups of random users in the map that Tests/MapTests/NIS/setup makes,
 * from one thread.
 *
 *     cc -O2 -o nis-limit nis-limit.c $(pkg-config --cflags --libs libnsl)
 *     Tests/MapTests/NIS/setup run DIR ./nis-limit user_mail_server 100000 */
#include <rpcsvc/ypclnt.h>
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
    char *domain, key[32], *value;
    if (argc < 2 || yp_get_default_domain(&domain) != 0) {
        fprintf(stderr, "usage: nis-limit MAP [LOOKUPS], in a NIS domain\n");
        return 2;
    }
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < lookups; i++) {
        int length, size = snprintf(key, sizeof key, "user%d", rand() % 100000);
        if (yp_match(domain, argv[1], key, size, &value, &length) == 0) {
            found++;
            free(value);
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f lookups/s, %.2f us of CPU each\n", lookups / wall, cpu * 1e6 / lookups);
    return found == lookups ? 0 : 1;
}
