A run saves database, attachments and custom addons in one archive that Odoo itself restores,
stores it in local directories, and reads every copy back.
