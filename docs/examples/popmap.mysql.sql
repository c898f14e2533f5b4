-- A popmap in MariaDB or MySQL, for perdition-map-mysql: run as an administrator,
--
--     mariadb < popmap.mysql.sql
--
-- with a password of your own in place of the two 'perdition' below, which are the default that everybody knows.

CREATE DATABASE dbPerdition CHARACTER SET utf8mb4;
USE dbPerdition;

-- Names compare as the column's collation has it: with one that ends in _ci, Joe is joe. _bin keeps them apart.
-- servername is [user@]host[:port]; port, where it is not NULL, goes behind it.
CREATE TABLE tblPerdition (
  user       VARCHAR(128) NOT NULL PRIMARY KEY,
  servername VARCHAR(255) NOT NULL,
  port       VARCHAR(8)   DEFAULT NULL
);

INSERT INTO tblPerdition VALUES
  ('joe', '10.0.0.1', NULL),
  ('ann', 'annabel@imap.example.com', '1143'),
  ('bob', '[2001:db8::7]', '143');

-- Who may read it, and do nothing else: over the socket, and from wherever the proxies are.
CREATE USER perdition@localhost   IDENTIFIED BY 'perdition';
CREATE USER perdition@'127.0.0.1' IDENTIFIED BY 'perdition';
GRANT SELECT ON dbPerdition.tblPerdition TO perdition@localhost, perdition@'127.0.0.1';
