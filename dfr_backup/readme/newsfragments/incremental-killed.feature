A killed run of an incremental backup stores what it had packed when it goes on, and reads none of those files again.
