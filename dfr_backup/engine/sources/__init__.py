"""What a backup holds besides the database: attachment files and custom addons."""
