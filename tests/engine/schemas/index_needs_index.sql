-- The index of the first table writes through a unique index of the second one.
CREATE TABLE t (a int); INSERT INTO t VALUES (1);
CREATE TABLE zz (k text CONSTRAINT aa UNIQUE);
CREATE FUNCTION noted() RETURNS int LANGUAGE plpgsql IMMUTABLE
    AS 'BEGIN RETURN (SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid = ''public.zz''::regclass); END';
CREATE UNIQUE INDEX ON t ((1 / public.noted()));
