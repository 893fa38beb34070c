CREATE SCHEMA "Sch.ema; -- x";
CREATE TABLE "Sch.ema; -- x"."ta""ble'$$" ("co;l" int PRIMARY KEY, "select" text, "ü" int, "a b" int, "/*" int);
INSERT INTO "Sch.ema; -- x"."ta""ble'$$" VALUES (1, E'\\.', 2, 3, 4);
CREATE INDEX "in;dex" ON "Sch.ema; -- x"."ta""ble'$$" ("ü", "a b");
ALTER TABLE "Sch.ema; -- x"."ta""ble'$$" ADD CONSTRAINT "con,st" CHECK ("co;l" > 0);
CREATE TABLE "Sch.ema; -- x"."PARTITION BY" ("REFERENCES x (" int REFERENCES "Sch.ema; -- x"."ta""ble'$$");
INSERT INTO "Sch.ema; -- x"."PARTITION BY" VALUES (1);
CREATE VIEW "Sch.ema; -- x"."BEGIN" AS SELECT ';' AS ";";
