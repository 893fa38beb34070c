CREATE TYPE inner_t AS (a int, b text);
CREATE TYPE outer_t AS (i inner_t, n numeric[]);
CREATE TABLE t OF outer_t (PRIMARY KEY (n));
INSERT INTO t VALUES (ROW(1, 'x,"y'), '{1.5,2}');
CREATE TABLE u (o outer_t, c inner_t[]);
INSERT INTO u VALUES (ROW(ROW(1, E'\t\\'), '{}'), ARRAY[ROW(2, NULL)::inner_t]);
