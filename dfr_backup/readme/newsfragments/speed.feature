Dumping is a quarter faster, and verifying a local copy three times.
