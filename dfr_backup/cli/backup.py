"""``odoo backup …``: this file is found by Odoo by its name, and loaded without the
addon."""

import sys

from odoo.cli.command import Command


class Backup(Command):
    """Back up this server, list the backups, and look after them"""

    def run(self, cmdargs):
        # Odoo loads this file as odoo.cli.backup: a relative import would not find the
        # addon
        from odoo.addons.dfr_backup import console  # pylint: disable=odoo-addons-relative-import

        sys.exit(console.main(self.parser, cmdargs))
