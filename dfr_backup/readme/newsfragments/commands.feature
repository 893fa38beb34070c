New commands: odoo backup verify, restore, drill and doctor, and list --storage.
