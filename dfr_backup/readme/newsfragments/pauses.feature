A plan can be paused until a date, its next run can be skipped, and its alerts can be snoozed for up to a month. While they are, the form says so.
