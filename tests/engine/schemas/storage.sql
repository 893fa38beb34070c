CREATE TABLE t (a int PRIMARY KEY, b text) WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_enabled = false);
INSERT INTO t VALUES (1, 'x'); CREATE INDEX i ON t (b) WITH (fillfactor = 50); ALTER TABLE t CLUSTER ON i; ALTER TABLE t REPLICA IDENTITY FULL;
CREATE TABLE r (a int NOT NULL UNIQUE); ALTER TABLE r REPLICA IDENTITY USING INDEX r_a_key;
