Comparing two backups names the models with the numbers of records that were added and removed; technical tables are on a page of their own.
