CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE t (r float_range, i int4range, EXCLUDE USING gist (i WITH &&));
INSERT INTO t VALUES ('[1.5,2)', '[1,5)'), ('empty', '[5,9)');
