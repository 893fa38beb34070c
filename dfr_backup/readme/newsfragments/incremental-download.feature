A backup whose attachments are in packs can be downloaded as one complete zip, which Odoo itself restores.
