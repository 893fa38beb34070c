Restore tests are called so everywhere, and help texts, metrics and warnings say “verified backup” where they said “good backup”.
