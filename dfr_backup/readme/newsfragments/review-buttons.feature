*Please review* has a button for each point that one press can mend: also to open the storages whose lifecycle rule or lock does not fit, to resume the schedule, and to resume alerts.
