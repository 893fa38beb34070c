-- unaccent
CREATE SCHEMA unaccent_schema;
CREATE EXTENSION unaccent WITH SCHEMA unaccent_schema;
CREATE FUNCTION public.unaccent(text) RETURNS text LANGUAGE sql IMMUTABLE
    AS $$ SELECT unaccent_schema.unaccent('unaccent_schema.unaccent', $1) $$;
CREATE TABLE names (a text);
CREATE INDEX ON names (public.unaccent(a));
