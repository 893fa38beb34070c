Staging copies are listed, with age, size and owner: open, refresh or delete them, or let them be deleted by themselves after some days. A copy that has become more than a copy is left alone.
