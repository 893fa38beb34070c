CREATE FUNCTION f1() RETURNS text LANGUAGE sql AS 'SELECT '';''';
CREATE FUNCTION f2() RETURNS text LANGUAGE sql AS $_$ SELECT '$$;' || $a$;$a$; $_$;
CREATE FUNCTION f3(a int, OUT b int, INOUT c text DEFAULT ';)') LANGUAGE plpgsql AS
 $$ BEGIN b := CASE WHEN a = 1 THEN 2 ELSE 3 END; /* ; */ -- '
 END; $$;
CREATE PROCEDURE p1(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION f4(VARIADIC a int[]) RETURNS SETOF record LANGUAGE sql ROWS 5 COST 7 PARALLEL SAFE STRICT
 SET search_path = pg_catalog, "odd;path" AS 'SELECT unnest($1), 2';
CREATE FUNCTION f5() RETURNS TABLE (a int, b text) LANGUAGE sql AS $body$ SELECT 1, 'x' $body$;
