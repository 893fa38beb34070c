CREATE COLLATION numeric_like (provider = icu, locale = 'en-u-kn-true'); CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (a text COLLATE numeric_like, b text COLLATE ci UNIQUE); INSERT INTO t VALUES ('a10', 'x'), ('a9', 'Y'); CREATE INDEX ON t (a);
