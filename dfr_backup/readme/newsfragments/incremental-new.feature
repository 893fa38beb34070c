The card of a storage on the overview says how much the last incremental backup has added, and leads to what the plan's retention would free.
