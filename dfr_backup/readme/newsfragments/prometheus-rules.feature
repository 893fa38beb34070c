`examples/` has alerting rules for Prometheus and a dashboard for Grafana. New metrics: `dfr_backup_last_restore_test_status` and `dfr_backup_last_restore_test_timestamp_seconds`.
