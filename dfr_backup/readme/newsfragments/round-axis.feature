The chart of the overview counts in round steps of MiB and seconds.
