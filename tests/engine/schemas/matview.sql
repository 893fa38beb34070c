-- PostgreSQL 16 and older
-- psql refuses
CREATE TABLE partner (id int);
INSERT INTO partner VALUES (1), (1), (2);
CREATE FUNCTION mentions_by_partner() RETURNS TABLE(pid int, n bigint) LANGUAGE sql STABLE AS
 $$ SELECT partner.id, count(*) FROM partner GROUP BY 1 $$;
CREATE FUNCTION count_mentions() RETURNS TABLE(pid int, n bigint) LANGUAGE sql STABLE AS
 $$ SELECT m.pid, m.n FROM mentions_by_partner() m $$;
CREATE MATERIALIZED VIEW bi_mentions AS SELECT * FROM count_mentions();
CREATE MATERIALIZED VIEW over_it AS SELECT max(n) FROM bi_mentions;
CREATE UNIQUE INDEX over_it_max ON over_it (max);
