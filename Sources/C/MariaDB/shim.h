/* MariaDB Connector/C, the client library of MariaDB and MySQL, for Swift. */
#include <mysql.h>
#include <errmsg.h>
