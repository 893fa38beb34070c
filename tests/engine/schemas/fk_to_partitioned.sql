CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
CREATE TABLE referring (id int REFERENCES parted (id), other int REFERENCES parted);
INSERT INTO parted SELECT generate_series(0, 199);
INSERT INTO referring SELECT i, 199 - i FROM generate_series(0, 199) i;
