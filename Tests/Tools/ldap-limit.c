/* What OpenLDAP's client library itself can do: ldap-limit OPTIONS USERS LOOKUPS, with the options string that
 * Tests/MapTests/LDAP/setup prints. One thread, one connection, one search after the other for userN, N below USERS.
 *
 *   cc -O2 -o ldap-limit ldap-limit.c -lldap -llber
 */
#include <ldap.h>
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
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void must(int code, const char *step) {
    if (code == LDAP_SUCCESS) return;
    fprintf(stderr, "%s: %s\n", step, ldap_err2string(code));
    exit(1);
}

int main(int count, char **arguments) {
    if (count != 4) {
        fprintf(stderr, "usage: ldap-limit OPTIONS USERS LOOKUPS\n");
        return 64;
    }
    int users = atoi(arguments[2]), lookups = atoi(arguments[3]), version = LDAP_VERSION3;
    char server[256], *names[] = {"username", "mailhost", "port", NULL};
    char *url = strstr(arguments[1], "ldap://"), *end = url == NULL ? NULL : strchr(url + 7, '/');
    if (end == NULL || users < 1) return 64;
    snprintf(server, sizeof server, "%.*s", (int)(end - url), url);

    LDAP *directory;
    struct berval nobody = {0, ""};
    must(ldap_initialize(&directory, server), "ldap_initialize");
    ldap_set_option(directory, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(directory, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    must(ldap_sasl_bind_s(directory, "", LDAP_SASL_SIMPLE, &nobody, NULL, NULL, NULL), "bind");

    double start = now(), used = cpu();
    for (int number = 0; number < lookups; number++) {
        char filter[64];
        struct timeval limit = {2, 0};
        LDAPMessage *answer = NULL;
        snprintf(filter, sizeof filter, "(uid=user%d)", (int)((unsigned)number * 7919u % (unsigned)users));
        must(ldap_search_ext_s(directory, "ou=mailbox,dc=nodomain", LDAP_SCOPE_ONELEVEL, filter, names, 0, NULL, NULL,
                               &limit, 2, &answer), "search");
        LDAPMessage *entry = ldap_first_entry(directory, answer);
        for (int name = 0; entry != NULL && names[name] != NULL; name++) {
            struct berval **values = ldap_get_values_len(directory, entry, names[name]);
            if (values != NULL) ldap_value_free_len(values);
        }
        if (entry == NULL) must(LDAP_NO_SUCH_OBJECT, filter);
        ldap_msgfree(answer);
    }
    double wall = now() - start;
    used = cpu() - used;
    printf("%.0f lookups/s, %.1f us of CPU each\n", lookups / wall, used / lookups * 1e6);
    ldap_unbind_ext_s(directory, NULL, NULL);
    return 0;
}
