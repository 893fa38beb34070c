CREATE TABLE z_ref (id int); INSERT INTO z_ref SELECT generate_series(1, 20000);
CREATE FUNCTION known(int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.z_ref WHERE id = $1)';
CREATE TABLE a_chk (r int); INSERT INTO a_chk VALUES (1); ALTER TABLE a_chk ADD CHECK (known(r)) NOT VALID;
CREATE TABLE zz_chk (r int CHECK (known(r))); INSERT INTO zz_chk VALUES (19999);
