The example rules for Prometheus have an alert for a file of `odoo backup status --all --prometheus` that is no longer written.
