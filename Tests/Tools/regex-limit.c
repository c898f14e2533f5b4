/* What glibc's matcher does by itself: lookups of random users in the file that Tests/MapTests/Regex/setup makes, from
 * one thread.
 *
 *     cc -O2 -o regex-limit regex-limit.c && ./regex-limit /tmp/map/popmap.re 100000 */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    static regex_t rules[100];
    int count = 0, found = 0;
    long lookups = argc > 2 ? atol(argv[2]) : 100000;
    char line[1024], key[32];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        fprintf(stderr, "usage: regex-limit FILE [LOOKUPS]\n");
        return 2;
    }
    while (count < 100 && fgets(line, sizeof line, file)) {
        char *end = strstr(line, ": ");
        if (!end) continue;
        *end = 0;
        if (regcomp(&rules[count++], line, REG_EXTENDED | REG_NEWLINE) != 0) return 1;
    }
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < lookups; i++) {
        regmatch_t groups[10];
        snprintf(key, sizeof key, "user%d", rand() % 100000);
        for (int rule = 0; rule < count; rule++)
            if (regexec(&rules[rule], key, 10, groups, 0) == 0) {
                found++;
                break;
            }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f lookups/s, %.2f us of CPU each\n", lookups / wall, cpu * 1e6 / lookups);
    return found == lookups ? 0 : 1;
}
