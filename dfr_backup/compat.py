"""Calls of Odoo that another series has not got, or has in another form. What is
declared differently is listed in docs/internals/series.md."""

from collections.abc import Iterable
from pathlib import Path

from odoo.modules import Manifest
from odoo.modules.registry import Registry
from odoo.orm.models import NO_ACCESS
from odoo.sql_db import close_db
from odoo.tools import config

__all__ = ["NO_ACCESS"]

MEMBER_OF = "all_group_ids"  # of a user: also groups that others imply


def members(groups):
    """Return the users of groups, also of those that imply them."""
    return groups.all_user_ids


def lock_free(records, **how):
    """Lock the rows that nobody else has locked, and return their records. ``how``:
    ``limit``; ``allow_referencing``, where others may still refer to them."""
    return records.try_lock_for_update(**how)


def commit_of_cron(env):
    """Commit in the middle of a scheduled action."""
    env["ir.cron"]._commit_progress()


def forget_database(database: str) -> None:
    """Close what this process has open in a database that is about to be dropped."""
    Registry.delete(database)
    close_db(database)


def named_databases() -> list[str]:
    """Return the databases that odoo.conf or the command line name."""
    return list(config["db_name"])


def addons_path() -> list[str]:
    """Return the directories of odoo.conf or the command line that hold addons."""
    return list(config["addons_path"])


def own_addons_paths() -> list[str]:
    """Return the directories in which Odoo looks without being told."""
    paths = (
        config.addons_base_dir,
        config.addons_community_dir,
        config.addons_data_dir,
    )
    return list(map(str, paths))


def addons_on_disk() -> list[str]:
    """Return the names of all addons that could be loaded."""
    return sorted(manifest.name for manifest in Manifest.all_addon_manifests())


def addon_folders(names: Iterable[str]) -> dict[str, Path]:
    """Return where addons lie, of those that are on the disk."""
    manifests = [Manifest.for_addon(name, display_warning=False) for name in names]
    return {manifest.name: Path(manifest.path) for manifest in manifests if manifest}
