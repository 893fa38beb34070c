-- PostgreSQL 14
-- psql refuses
CREATE TABLE "end" ("case" int PRIMARY KEY, begin int, atomic int);
CREATE TABLE "only" ("table" int REFERENCES "end" ("case"));
CREATE TABLE "from" (stdin int, program int);
CREATE INDEX "on" ON "only" ("table");
INSERT INTO "end" VALUES (1, 2, 3); INSERT INTO "only" VALUES (1); INSERT INTO "from" VALUES (1, 2);
CREATE FUNCTION "begin"("end" int) RETURNS int LANGUAGE sql AS $begin$ SELECT 1; $begin$;
