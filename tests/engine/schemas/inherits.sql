CREATE TABLE up (id int CHECK (id > 0), t text GENERATED ALWAYS AS ('x' || id) STORED, n int NOT NULL DEFAULT 5);
CREATE TABLE down (extra int, n int DEFAULT 7) INHERITS (up); CREATE TABLE "both" (n int DEFAULT 9, CHECK (id < 100)) INHERITS (up, down);
INSERT INTO up (id) VALUES (1); INSERT INTO down (id, extra) VALUES (2, 3); INSERT INTO "both" (id) VALUES (4);
ALTER TABLE up ADD CONSTRAINT ni CHECK (id <> 50) NO INHERIT;
