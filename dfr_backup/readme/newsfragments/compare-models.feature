Comparing two backups names the models, and how many records more or fewer each has; technical tables are on a page of their own.
