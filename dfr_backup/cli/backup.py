"""``odoo backup …``: this file is found by Odoo by its name, and loaded without the
addon."""

import gc
import sys

from odoo.cli.command import Command


class Backup(Command):
    """Back up this server, list the backups, and look after them"""

    def run(self, cmdargs):
        # Odoo loads this file as odoo.cli.backup: a relative import would not find the
        # addon
        from odoo.addons.dfr_backup import console  # pylint: disable=odoo-addons-relative-import

        status = console.main(self.parser, cmdargs)
        # the last collections of Python would look through every model of Odoo, for
        # 0.4 s (measured): memory ends with the process anyway
        gc.freeze()
        sys.exit(status)
