CREATE EXTENSION btree_gist;
CREATE TABLE b (room int, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0) DEFERRABLE);
INSERT INTO b SELECT g, tsrange('2020-01-01', '2020-01-02') FROM generate_series(1, 100) g;
