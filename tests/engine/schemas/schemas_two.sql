CREATE TABLE t (a int); CREATE SCHEMA far; COMMENT ON SCHEMA far IS 'x'; CREATE TYPE far.e AS ENUM ('a'); CREATE TABLE far.t (e far.e); INSERT INTO far.t VALUES ('a');
