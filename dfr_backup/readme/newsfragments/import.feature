*Import Backup* under *Copies* takes an archive from your computer: one of this addon, encrypted or
not, or a zip of Odoo's database manager. *Scan Storage* lists such zips that lie in a storage's directory.
