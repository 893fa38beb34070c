-- statements of more than 8 MiB, in an archive of some KiB
CREATE TABLE t (id int PRIMARY KEY, data bytea, body text);
INSERT INTO t VALUES (0, decode(repeat('00', 6000000), 'hex'), '');
INSERT INTO t VALUES (1, '', repeat(E'it''s "a"; b\\', 700000));
INSERT INTO t SELECT n, '\x00', 'it''s' FROM generate_series(2, 30000) n;
DO $do$ BEGIN
    EXECUTE 'CREATE FUNCTION long() RETURNS text LANGUAGE sql AS ' || quote_literal(
        'SELECT ''' || repeat('x; $_$ y''''z ', 800000) || '''::text');
    EXECUTE 'COMMENT ON TABLE t IS ' || quote_literal(repeat('that''s; ', 1200000));
    EXECUTE 'CREATE VIEW v AS SELECT ' || quote_literal(repeat('a;', 5000000)) || ' a';
END $do$;
