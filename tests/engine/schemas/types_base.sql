CREATE TABLE t (b bytea, j json, jb jsonb, x xml, u uuid, i inet, m macaddr, bt bit(3), vb varbit,
  ts tsvector, q tsquery, p point, c circle, iv interval, tz timestamptz, mo money, ch char(5), "char" "char", n name,
  f4 float4, f8 float8, nu numeric(20, 10), o oid, re regclass);
INSERT INTO t VALUES ('\x00ff5c', '{"a": "\u00e9\\"}', '{"b": [1, null]}', '<a>b</a>',
  '00000000-0000-0000-0000-000000000001', '10.0.0.0/8', '08:00:2b:01:02:03', B'101', B'1', 'a b:2A', 'a & b', '(1,2)', '<(1,2),3>',
  '1 year 2 mons 3 days', '0001-01-01 00:00:00 BC', 1.5, 'x', 'a', 'name', 'NaN', '-Infinity', '1.0000000001', 5, 'pg_class');
