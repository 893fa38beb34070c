CREATE SCHEMA "ext;"; CREATE EXTENSION hstore WITH SCHEMA "ext;"; CREATE EXTENSION citext; CREATE EXTENSION pgcrypto;
CREATE TABLE t (h "ext;".hstore, c citext UNIQUE, k uuid DEFAULT gen_random_uuid(), x bytea DEFAULT public.digest('a', 'sha1'));
INSERT INTO t (h, c) VALUES ('a=>1', 'Abc'); CREATE INDEX ON t USING gin (h);
