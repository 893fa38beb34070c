import json
import re
from pathlib import Path
from unittest.mock import patch

from odoo.tests import new_test_user, tagged

from .. import odoo_config
from ..engine.encryption.files import generate_key
from .common import BackupCase
from .test_backup_import import ODOO, zipped

# not in the package that is installed, which has the addon alone
PAGE = Path(__file__).resolve().parents[2] / "docs/format.rst"
# a line of its tables: a key and its type
KEY = re.compile(r"^``([\w.\[\]]+)`` +(text|number|boolean|list|object) ", re.M)
TYPES = {str: "text", int: "number", bool: "boolean", list: "list", dict: "object"}


def documented():
    """Return (path, type) of each key that the page names; a part in capitals stands
    for any name."""
    text = PAGE.read_text()
    return KEY.findall(text[text.index(".. _keys:") : text.index(".. _end-of-keys:")])


def written(value, path=""):
    """Yield (path, type) of every key in a manifest that has a value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            place = f"{path}.{name}" if path else name
            if inner is not None:
                yield place, TYPES[type(inner)]
            yield from written(inner, place)
    elif isinstance(value, list):
        for inner in value:
            yield from written(inner, f"{path}[]")


def is_named(path, key):
    """Tell whether the path of a written key is what the page calls ``key``."""
    for capitals in re.findall(r"\b[A-Z]+\b", key):
        begin, end = key.split(capitals)
        return path.startswith(begin) and path.endswith(end) and len(path) > len(begin)
    return path == key


@tagged("post_install", "-at_install")
class TestFormat(BackupCase):
    """The page of the format names each key that is written, and no other: runs of
    every kind write them."""

    def setUp(self):
        super().setUp()
        if not PAGE.exists():
            self.skipTest("the documentation is not beside the addon")
        self.log_in()
        self.startPatcher(patch.object(self.env.cr, "commit", lambda: None))

    def perform(self, job):
        """Do a run as the runner does; return the sidecar that it has stored."""
        job.state = "running"
        job._perform()
        path = self.root / "disk" / re.sub(r"\.zip(\.age)?$", ".json", job.archive_name)
        return json.loads(path.read_text())

    def encrypted(self):
        self.plan.write(
            {
                "include_addons": True,
                "encryption": "recipients",
                "age_recipients": generate_key().public,
            }
        )
        return self.perform(self.run_now())

    def partial(self):
        with patch.object(
            odoo_config, "filestore_path", lambda _name: self.root / "gone"
        ):
            return self.perform(self.run_now())

    def imported(self):
        manager = new_test_user(self.env, "m", groups="dfr_backup.group_manager")
        wizards = self.env["backup.import.wizard"].with_user(manager)
        wizard = wizards.browse(wizards._open()["res_id"])
        wizard.storage_id = self.storage
        content = zipped(json.dumps(ODOO))
        wizard.start_upload("shop.zip", len(content), 1_700_000_000_000)
        wizard._receive(0, content)
        wizard.finish_upload()
        job = self.env["backup.job"].browse(wizard.action_import()["res_id"])
        return self.perform(job)

    def test_page_names_each_key_that_is_written_and_no_other(self):
        runs = self.encrypted(), self.partial(), self.imported()
        found = {about for sidecar in runs for about in written(sidecar)}
        keys = documented()
        self.assertEqual(len(keys), len(dict(keys)))
        unnamed = [
            (path, kind)
            for path, kind in sorted(found)
            if not any(kind == k and is_named(path, key) for key, k in keys)
        ]
        self.assertEqual(unnamed, [])
        # what may have any name may have none
        parents = {key: re.sub(r"\.[A-Z]+$", "", key) for key, _kind in keys}
        unwritten = [
            key
            for key, parent in parents.items()
            if not any(is_named(path, parent) for path, _kind in found)
        ]
        self.assertEqual(unwritten, [])
