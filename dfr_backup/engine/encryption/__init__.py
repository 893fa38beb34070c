"""age: archives that only the holder of a key or a passphrase can read."""
