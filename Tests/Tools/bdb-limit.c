/* What Berkeley DB does by itself: lookups of random users in the file that Tests/MapTests/BDB/setup makes, from one
 * thread with the file open all the time.
 *
 *     cc -O2 -o bdb-limit bdb-limit.c -ldb-5.3 && ./bdb-limit /tmp/map/popmap.bdb.db 100000 */
#include <db.h>
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
    DB *db;
    long lookups = argc > 2 ? atol(argv[2]) : 100000, found = 0;
    char name[32];
    if (argc < 2 || db_create(&db, NULL, 0) != 0 || db->open(db, NULL, argv[1], NULL, DB_UNKNOWN, DB_RDONLY, 0) != 0) {
        fprintf(stderr, "usage: bdb-limit FILE [LOOKUPS]\n");
        return 2;
    }
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (long i = 0; i < lookups; i++) {
        DBT key, value;
        memset(&key, 0, sizeof key);
        memset(&value, 0, sizeof value);
        key.data = name;
        key.size = snprintf(name, sizeof name, "user%d", rand() % 100000);
        value.flags = DB_DBT_MALLOC;
        if (db->get(db, NULL, &key, &value, 0) == 0) {
            found++;
            free(value.data);
        }
    }
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%.0f lookups/s, %.2f us of CPU each\n", lookups / wall, cpu * 1e6 / lookups);
    return found == lookups ? 0 : 1;
}
