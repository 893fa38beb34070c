A backup that is much smaller than the ones before it says so: on the run, on the overview and in one mail.
