CREATE TABLE t (id int, a text);
INSERT INTO t VALUES (1, E'\\.'), (2, E'\n\\.\n'), (3, E'\t\r\b\f\v\\'), (4, ''), (5, NULL), (6, '\N'), (7, E'\\N'), (8, repeat('x', 100000));
INSERT INTO t SELECT g, repeat(md5(g::text), 50) FROM generate_series(9, 8000) g;
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE empty (a int);
CREATE TABLE dropped (a int, b int, c int); ALTER TABLE dropped DROP b; INSERT INTO dropped VALUES (1, 3);
