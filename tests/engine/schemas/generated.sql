-- refused
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE FUNCTION public.slugify(value text) RETURNS text AS $$
BEGIN RETURN trim(BOTH '-' FROM regexp_replace(lower(unaccent(value)), '[^a-z0-9]+', '-', 'gi')); END;
$$ LANGUAGE plpgsql IMMUTABLE STRICT;
CREATE TABLE web_pages (id serial primary key, name text, slug_name text GENERATED ALWAYS AS (slugify(name)) STORED);
INSERT INTO web_pages(name) VALUES ('Café Ünïcode'), ('Zürich Straße');
