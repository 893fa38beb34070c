CREATE FUNCTION add2(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE AGGREGATE total(int) (SFUNC = add2, STYPE = int, INITCOND = '0');
CREATE OPERATOR @+@ (LEFTARG = int, RIGHTARG = int, FUNCTION = add2);
CREATE TABLE t (a int, b int, CHECK (a @+@ b > 0)); INSERT INTO t VALUES (1, 2);
CREATE VIEW v AS SELECT total(a) FROM t;
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1, $1)::pair';
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int) AS ASSIGNMENT;
CREATE INDEX ON t ((a @+@ b));
