"""The operator's word on which database is the original: after a move to another
server, after pg_upgrade, after a restore by other means."""

import json
import sys

from .. import odoo_config
from ..engine.errors.identity import SameUuid
from ..engine.ownership.originals import Original, identity_of, living_databases
from .archives import explained

APPLICATION = "dfr_backup moved"


@explained
def moved(database, options):
    """Let one database be the original of its identity."""
    identity = identity_of(odoo_config.connection(database, APPLICATION))
    return _print([_hand_over(identity, options)], [], options)


@explained
def all_moved(options):
    """Do the same for every database that has an identity of its own."""
    found = living_databases(odoo_config.connection("postgres", APPLICATION))
    by_uuid = {}
    for identity in found:
        by_uuid.setdefault(identity.uuid, []).append(identity)
    rows, problems = [], []
    for identities in by_uuid.values():
        if len(identities) == 1:
            rows.append(_hand_over(identities[0], options))
        else:
            names = ", ".join(identity.name for identity in identities)
            problems.append(SameUuid(databases=names))
    return _print(rows, problems, options)


def _hand_over(identity, options):
    """Note the database as the original; return what was done. Also one that is it
    already: from now on, what is stored in its name is its own."""
    if options.dry_run:
        before = odoo_config.originals().of(identity.uuid)
    else:
        before = odoo_config.hand_over(identity)
    known = before or Original(identity)
    return {
        "database": identity.name,
        "identity": identity.key,
        "former": known.identity.key if known.identity != identity else None,
        "former_name": known.identity.name if known.identity != identity else None,
    }


def _print(rows, problems, options):
    if options.json:
        told = [{"error": str(p.message), "error_code": p.code} for p in problems]
        result = {"dry_run": options.dry_run, "databases": rows, "problems": told}
        print(json.dumps(result, indent=2))
        return 1 if problems else 0
    for row in rows:
        before = row["former_name"] and f", in place of “{row['former_name']}”"
        verb = "would be" if options.dry_run else "is"
        print(f"“{row['database']}” {verb} the original{before or ''}.")
    for problem in problems:
        print(f"ERROR: {problem.message} [{problem.code}]", file=sys.stderr)
        print(f"   -> {problem.hint}", file=sys.stderr)
    return 1 if problems else 0
