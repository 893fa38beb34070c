Archives can be encrypted by age, for public keys or by a passphrase. A recovery kit says what is needed to
get the data back. Stored passwords and keys cannot be read back by anybody.
