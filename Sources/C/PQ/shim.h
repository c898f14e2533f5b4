/* libpq, the client library of PostgreSQL, for Swift; each function below stands for what Swift cannot call itself. */
#include <libpq-fe.h>

/* PG_DIAG_SQLSTATE is a character constant, which Swift imports as another type than the argument it is for. */
static inline const char *pq_state(const PGresult *result) { return PQresultErrorField(result, PG_DIAG_SQLSTATE); }

/* The same with PG_DIAG_MESSAGE_PRIMARY: the message without its position and its hints. */
static inline const char *pq_message(const PGresult *result) {
    return PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
}
