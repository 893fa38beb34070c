Plans tell how their backups are: by mail and activities, by pings to Healthchecks, Uptime Kuma or
a webhook, and by a health endpoint and Prometheus metrics. A backup that does not come in the time
that its plan promises is overdue, and that is told, too.
