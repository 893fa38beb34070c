-- The rows of the first table come late, so that those of the second one overtake them.
CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN true; END';
CREATE TABLE a_ref (id int CHECK (slow(id)));
INSERT INTO a_ref VALUES (1);
CREATE FUNCTION has(int) RETURNS boolean LANGUAGE plpgsql STABLE
    AS 'BEGIN RETURN EXISTS (SELECT FROM public.a_ref WHERE id = $1); END';
CREATE TABLE b_chk (id int, r int CHECK (has(r)));
INSERT INTO b_chk VALUES (1, 1);
