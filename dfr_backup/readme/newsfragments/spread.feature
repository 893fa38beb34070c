New plans begin at a time between 01:00 and 05:00 that depends on the database, and no longer all at 02:00.
