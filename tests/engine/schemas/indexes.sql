CREATE EXTENSION pg_trgm; CREATE TABLE t (a int, b text, c jsonb, d int[], e tsvector, p point);
INSERT INTO t SELECT g, 'text ' || g, jsonb_build_object('k', g), ARRAY[g], to_tsvector('simple', 'w' || g), point(g, g) FROM generate_series(1, 500) g;
CREATE INDEX ON t USING gin (b gin_trgm_ops); CREATE INDEX ON t USING gist (b gist_trgm_ops (siglen = 32)); CREATE INDEX ON t USING gin (c jsonb_path_ops);
CREATE INDEX ON t USING gin (d); CREATE INDEX ON t USING gin (e); CREATE INDEX ON t USING brin (a); CREATE INDEX ON t USING hash (b); CREATE INDEX ON t USING spgist (p);
CREATE UNIQUE INDEX "I;" ON t (lower(b) text_pattern_ops, a DESC) WHERE b <> ';'; CREATE INDEX ON t (b COLLATE "C");
