/* Berkeley DB for Swift. Its functions are members of structs, whose types differ between versions and drag the whole of
 * db.h into Swift; here are the few that are needed, on a handle that Swift does not look into. */
#include <db.h>
#include <stdlib.h>
#include <string.h>

/* Whatever goes wrong comes back as a number: nothing is to be printed. */
static inline void bdb_say_nothing(const DB_ENV *environment, const char *prefix, const char *message) {
    (void)environment, (void)prefix, (void)message;
}

static inline int bdb_make(DB **db) {
    int code = db_create(db, NULL, 0);
    if (code == 0) (*db)->set_errcall(*db, bdb_say_nothing);
    return code;
}

/* Opens a file to read, of whatever kind it is. */
static inline int bdb_open_reading(DB **db, const char *path) {
    int code = bdb_make(db);
    if (code != 0) return code;
    code = (*db)->open(*db, NULL, path, NULL, DB_UNKNOWN, DB_RDONLY, 0);
    if (code != 0) {
        (*db)->close(*db, DB_NOSYNC);
        *db = NULL;
    }
    return code;
}

/* Makes an empty hash, the kind the original's library reads. */
static inline int bdb_open_creating(DB **db, const char *path, int mode) {
    int code = bdb_make(db);
    if (code != 0) return code;
    code = (*db)->open(*db, NULL, path, NULL, DB_HASH, DB_CREATE | DB_TRUNCATE, mode);
    if (code != 0) {
        (*db)->close(*db, DB_NOSYNC);
        *db = NULL;
    }
    return code;
}

static inline int bdb_is_hash(DB *db) {
    DBTYPE type = DB_UNKNOWN;
    return db->get_type(db, &type) == 0 && type == DB_HASH;
}

/* Looks through every page of a file nobody has open. */
static inline int bdb_verify(const char *path) {
    DB *db;
    int code = bdb_make(&db);
    return code != 0 ? code : db->verify(db, path, NULL, NULL, 0);
}

static inline DBT bdb_datum(const void *bytes, unsigned size) {
    DBT datum;
    memset(&datum, 0, sizeof datum);
    datum.data = (void *)bytes;
    datum.size = size;
    return datum;
}

/* The value is allocated with malloc. */
static inline int bdb_get(DB *db, const void *key, unsigned size, void **value, unsigned *length) {
    DBT wanted = bdb_datum(key, size), found = bdb_datum(NULL, 0);
    found.flags = DB_DBT_MALLOC;
    int code = db->get(db, NULL, &wanted, &found, 0);
    *value = found.data;
    *length = found.size;
    return code;
}

static inline int bdb_insert(DB *db, const void *key, unsigned size, const void *value, unsigned length) {
    DBT name = bdb_datum(key, size), content = bdb_datum(value, length);
    return db->put(db, NULL, &name, &content, DB_NOOVERWRITE);
}

static inline int bdb_delete(DB *db, const void *key, unsigned size) {
    DBT name = bdb_datum(key, size);
    return db->del(db, NULL, &name, 0);
}

static inline int bdb_cursor(DB *db, DBC **cursor) { return db->cursor(db, NULL, cursor, 0); }

/* The next key, valid until the cursor moves; its value stays where it is. */
static inline int bdb_next_key(DBC *cursor, const void **key, unsigned *size) {
    DBT next = bdb_datum(NULL, 0), nothing = bdb_datum(NULL, 0);
    nothing.flags = DB_DBT_PARTIAL;
    int code = cursor->get(cursor, &next, &nothing, DB_NEXT);
    *key = next.data;
    *size = next.size;
    return code;
}

static inline void bdb_close_cursor(DBC *cursor) { cursor->close(cursor); }
static inline int bdb_sync(DB *db) { return db->sync(db, 0); }
static inline int bdb_close(DB *db, int writing) { return db->close(db, writing ? 0 : DB_NOSYNC); }
