Every error says what to do, also a monitor that cannot be reached and a run that was cancelled or belongs to another database. A step that failed without a reason has a code, too.
