CREATE SCHEMA lib;
CREATE TABLE lib.rates (code text PRIMARY KEY, rate int); INSERT INTO lib.rates VALUES ('a', 2);
CREATE FUNCTION lib.rate(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT rate FROM lib.rates WHERE code = $1';
CREATE TABLE orders (id serial PRIMARY KEY, code text);
INSERT INTO orders (code) SELECT 'a' FROM generate_series(1, 500);
CREATE INDEX by_rate ON orders (lib.rate(code));
CREATE UNIQUE INDEX partial ON orders (id) WHERE lib.rate(code) = 2;
