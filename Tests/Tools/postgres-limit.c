/* What libpq gives without a provider around it: one thread, one connection, the same prepared statement, one lookup
 * after the other.
 *
 *   cc -O2 -o postgres-limit postgres-limit.c $(pkg-config --cflags --libs libpq)
 *   postgres-limit "$(Tests/MapTests/Postgres/setup start DIR)" [LOOKUPS [USERS]]
 *
 * prints lookups a second and microseconds of CPU for each; of the options string, only the full form. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **arguments) {
    char *fields[9] = {0}, *rest = count > 1 ? strdup(arguments[1]) : NULL;
    for (int i = 0; i < 9; i++) fields[i] = strsep(&rest, ":");
    if (!fields[8]) return fprintf(stderr, "usage: postgres-limit OPTIONS [LOOKUPS [USERS]]\n"), 64;
    long lookups = count > 2 ? atol(arguments[2]) : 50000, users = count > 3 ? atol(arguments[3]) : 100000, found = 0;
    PGconn *connection = PQsetdbLogin(fields[0], fields[1], NULL, NULL, fields[2], fields[4], fields[5]);
    if (PQstatus(connection) != CONNECTION_OK) return fprintf(stderr, "%s\n", PQerrorMessage(connection)), 1;
    char query[512], key[64];
    const char *values[1] = {key};
    snprintf(query, sizeof query, "SELECT %s,%s FROM %s WHERE \"%s\"=$1 LIMIT 1", fields[6], fields[8], fields[3], fields[7]);
    PGresult *prepared = PQprepare(connection, "limit", query, 0, NULL);
    if (PQresultStatus(prepared) != PGRES_COMMAND_OK) return fprintf(stderr, "%s\n", PQerrorMessage(connection)), 1;
    PQclear(prepared);
    double began = now(), spent = cpu();
    for (long i = 0; i < lookups; i++) {
        snprintf(key, sizeof key, "user%ld", random() % users);
        PGresult *result = PQexecPrepared(connection, "limit", 1, values, NULL, NULL, 0);
        if (PQresultStatus(result) != PGRES_TUPLES_OK) return fprintf(stderr, "%s\n", PQerrorMessage(connection)), 1;
        found += PQntuples(result) == 1;
        PQclear(result);
    }
    double time = now() - began;
    printf("%.0f lookups/s, %.1f us CPU a lookup, %ld of %ld found\n", lookups / time, (cpu() - spent) * 1e6 / lookups,
           found, lookups);
    PQfinish(connection);
    return found == lookups ? 0 : 1;
}
