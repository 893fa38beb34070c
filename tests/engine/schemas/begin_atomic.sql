-- PostgreSQL 14
-- psql refuses
create table t4 (id int primary key, begin timestamp, "end" timestamp); insert into t4 values (1,'2026-01-01','2026-01-02');
create function shift_begin(i int) returns timestamp language sql begin atomic select t4.begin from t4 where t4.id = i; end;
create table after_it (a int); insert into after_it values (1);
