CREATE FUNCTION is_even(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0';
CREATE DOMAIN even AS int DEFAULT 2 NOT NULL CONSTRAINT ev CHECK (is_even(VALUE));
CREATE DOMAIN evens AS even[] CHECK (array_length(VALUE, 1) < 4);
CREATE TABLE t (e even, es evens);
INSERT INTO t VALUES (4, '{2,4}');
COMMENT ON DOMAIN even IS 'it''s; even';
