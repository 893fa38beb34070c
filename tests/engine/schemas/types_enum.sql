CREATE TYPE mood AS ENUM ('so;', 'la''la', 'E''\;', '');
ALTER TYPE mood ADD VALUE 'first' BEFORE 'so;';
CREATE TABLE t (m mood DEFAULT 'so;', a mood[]);
INSERT INTO t VALUES ('la''la', '{"so;",""}'), (NULL, NULL);
CREATE INDEX ON t (m);
