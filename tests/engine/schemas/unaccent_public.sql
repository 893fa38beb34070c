-- unaccent
CREATE EXTENSION unaccent; CREATE TABLE t (a text); INSERT INTO t VALUES ('é');
CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT public.unaccent('public.unaccent', $1) $$;
CREATE INDEX ON t (plain(a));
