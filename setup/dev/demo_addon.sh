#!/usr/bin/env bash
# One custom addon outside Odoo's own paths, in a git repository: what a real server has.
source "$(dirname "$0")/common.sh"

addon=$DEV/custom_addons/dfr_demo_library
[ -f "$addon/__manifest__.py" ] && exit 0
mkdir -p "$addon/models"
echo "from . import models" >"$addon/__init__.py"
echo "from . import library_book" >"$addon/models/__init__.py"
cat >"$addon/__manifest__.py" <<'PY'
{
    "name": "Demo Library",
    "version": "19.0.1.0.0",
    "author": "dfr_backup contributors",
    "license": "LGPL-3",
    "depends": ["base"],
}
PY
cat >"$addon/models/library_book.py" <<'PY'
from odoo import fields, models


class LibraryBook(models.Model):
    _name = "dfr.demo.library.book"
    _description = "Book"

    name = fields.Char(required=True)
PY
cd "$DEV/custom_addons"
git init -q
git add dfr_demo_library
git -c user.name=demo -c user.email=demo@example.com commit -qm "Demo library"
