/* What the client library of MariaDB gives without a provider around it: one thread, one connection, the same prepared
 * statement, one lookup after the other.
 *
 *   cc -O2 -o mysql-limit mysql-limit.c $(pkg-config --cflags --libs libmariadb)
 *   mysql-limit "$(Tests/MapTests/MySQL/setup start DIR)" [LOOKUPS [USERS]]
 *
 * prints lookups a second and microseconds of CPU for each; of the options string, only the full form. */
#include <mysql.h>
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
    if (!fields[8]) return fprintf(stderr, "usage: mysql-limit OPTIONS [LOOKUPS [USERS]]\n"), 64;
    long lookups = count > 2 ? atol(arguments[2]) : 50000, users = count > 3 ? atol(arguments[3]) : 100000, found = 0;
    MYSQL *mysql = mysql_init(NULL);
    if (!mysql_real_connect(mysql, fields[0], fields[4], fields[5], fields[2], atoi(fields[1]), NULL, 0))
        return fprintf(stderr, "%s\n", mysql_error(mysql)), 1;
    char query[512], key[64], server[512], port[512];
    snprintf(query, sizeof query, "SELECT `%s`,`%s` FROM `%s` WHERE `%s`=? LIMIT 1", fields[6], fields[8], fields[3], fields[7]);
    MYSQL_STMT *statement = mysql_stmt_init(mysql);
    if (mysql_stmt_prepare(statement, query, strlen(query)))
        return fprintf(stderr, "%s\n", mysql_stmt_error(statement)), 1;
    unsigned long length, lengths[2];
    MYSQL_BIND parameter = {.buffer_type = MYSQL_TYPE_STRING, .buffer = key, .length = &length};
    MYSQL_BIND results[2] = {
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = server, .buffer_length = sizeof server, .length = &lengths[0]},
        {.buffer_type = MYSQL_TYPE_STRING, .buffer = port, .buffer_length = sizeof port, .length = &lengths[1]}};
    mysql_stmt_bind_param(statement, &parameter);
    mysql_stmt_bind_result(statement, results);
    double began = now(), spent = cpu();
    for (long i = 0; i < lookups; i++) {
        length = snprintf(key, sizeof key, "user%ld", random() % users);
        if (mysql_stmt_execute(statement)) return fprintf(stderr, "%s\n", mysql_stmt_error(statement)), 1;
        found += mysql_stmt_fetch(statement) == 0;
        mysql_stmt_free_result(statement);
    }
    double time = now() - began;
    printf("%.0f lookups/s, %.1f us CPU a lookup, %ld of %ld found\n", lookups / time, (cpu() - spent) * 1e6 / lookups,
           found, lookups);
    mysql_stmt_close(statement);
    mysql_close(mysql);
    return found == lookups ? 0 : 1;
}
