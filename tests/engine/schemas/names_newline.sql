CREATE TABLE "two
lines;" ("col
umn" int PRIMARY KEY);
INSERT INTO "two
lines;" VALUES (1);
COMMENT ON TABLE "two
lines;" IS 'x
-- no comment
\! no command';
