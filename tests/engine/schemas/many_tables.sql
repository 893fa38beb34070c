DO $$ BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, up int, x text DEFAULT %L)', i, i);
 EXECUTE format('INSERT INTO t%s (up) SELECT NULL FROM generate_series(1, 3)', i);
 IF i > 1 THEN EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (up) REFERENCES t%s', i, i - 1); END IF; END LOOP; END $$;
