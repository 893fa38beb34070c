"""The part that does the work. Plain Python: no module below imports Odoo."""
