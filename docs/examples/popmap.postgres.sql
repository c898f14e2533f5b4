-- A popmap in PostgreSQL, for perdition-map-postgres: run as an administrator,
--
--     createdb dbperdition && psql dbperdition < popmap.postgres.sql
--
-- with a password of your own in place of 'perdition' below, which is the default that everybody knows.

-- user is a word of SQL, and has to stand in quotes. It compares exactly: Joe is not joe.
-- servername is [user@]host[:port]; port, where it is not NULL, goes behind it.
CREATE TABLE tblPerdition (
  "user"     VARCHAR(128) PRIMARY KEY,
  servername VARCHAR(255) NOT NULL,
  port       VARCHAR(8)
);

INSERT INTO tblPerdition VALUES
  ('joe', '10.0.0.1', NULL),
  ('ann', 'annabel@imap.example.com', '1143'),
  ('bob', '[2001:db8::7]', '143');

-- Who may read it, and do nothing else.
CREATE ROLE perdition LOGIN PASSWORD 'perdition';
GRANT SELECT ON tblPerdition TO perdition;
