CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE t (a int, b int GENERATED ALWAYS AS (twice(a)) STORED, c text DEFAULT ('a;' || now()::text), UNIQUE (b));
INSERT INTO t (a) SELECT generate_series(1, 100); CREATE INDEX ON t (b DESC NULLS LAST) INCLUDE (a);
