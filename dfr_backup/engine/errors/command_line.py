"""Command line."""

from ..messages import _
from . import PermanentError


class SftpAddressIncomplete(PermanentError, code="CLI-01"):
    template = _(
        "The address of an SFTP server needs a user and a host, and no password."
    )
    remedy = _(
        "For example sftp://user@host/folder/ – the password goes into the "
        "environment variable DFR_BACKUP_SFTP_PASSWORD."
    )


class AddressUnclear(PermanentError, code="CLI-02"):
    template = _("The host or the port of the address cannot be understood.")
    remedy = _("Give an address such as %(examples)s; a port is a number up to 65535.")


class IdentityUnreadable(PermanentError, code="CLI-03"):
    template = _("The key %(path)s cannot be read: %(reason)s.")
    remedy = _("Give the file with the private key.")


class SftpKeyUnreadable(PermanentError, code="CLI-04"):
    template = _("The private key %(path)s cannot be read: %(reason)s.")
    remedy = _("Check the environment variable DFR_BACKUP_SFTP_KEY.")


class UnknownScheme(PermanentError, code="CLI-05"):
    template = _(
        "“%(scheme)s://” is not a kind of storage that the command line knows."
    )
    remedy = _("Give a path or an address such as %(examples)s.")


class FormerDatabaseBack(PermanentError, code="CLI-06"):
    template = _("“%(database)s” is the former database again: %(reason)s")
    remedy = _(
        "Nothing was lost. Restore under another name to look at what is wrong there."
    )


class FolderNamed(PermanentError, code="CLI-07"):
    template = _("%(address)s names a folder, not an archive.")
    remedy = _("See what is in it: odoo backup list --storage %(address)s")


class DatabaseMissing(PermanentError, code="OTHER-48"):
    template = _("There is no database “%(database)s” on this PostgreSQL server.")
    remedy = _(
        "Check the name after -d, and the server: db_host and db_port in odoo.conf. "
        "“psql -l” lists the databases."
    )


class NotAnOdooDatabase(PermanentError, code="OTHER-49"):
    template = _("“%(database)s” is not an Odoo database.")
    remedy = _("Name a database that makes backups: -d DATABASE.")


class DataFolderUnusable(PermanentError, code="OTHER-50"):
    template = _("Odoo's data directory cannot be used: %(file)s: %(reason)s.")
    remedy = _(
        "Run the command as the system user that runs Odoo, with its odoo.conf or "
        "--data-dir, and see that the disk is mounted read-write and not full."
    )
