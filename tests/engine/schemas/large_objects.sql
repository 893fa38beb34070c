SELECT lo_from_bytea(0, '\x0102ff00'), lo_from_bytea(0, 'large; object'), lo_create(0);
CREATE TABLE t (o oid); INSERT INTO t SELECT oid FROM pg_largeobject_metadata; CREATE INDEX ON t (o);
