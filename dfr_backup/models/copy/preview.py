"""What people are told about an archive before they restore or import it."""

from odoo import release

from ... import odoo_config


def facts_in_words(env, sidecar):
    """Return in a sentence what an archive holds."""
    if not sidecar.odoo_version and sidecar.encrypted:
        return env._("Encrypted: its contents can only be shown with the key.")
    return env._(
        "Database “%(database)s” of Odoo %(version)s, %(modules)s modules",
        database=sidecar.database,
        version=sidecar.odoo_version or env._("an unknown version"),
        modules=sidecar.modules,
    )


def trouble_in_words(env, sidecar, made_by_odoo):
    """Return what somebody should know before an archive is restored here, in
    lines."""
    trouble = [f"{part.part}: {part.reason}" for part in sidecar.missing]
    series = release.series.split(".")[0]
    if sidecar.odoo_version and sidecar.odoo_version.split(".")[0] != series:
        trouble.append(
            env._(
                "The backup is from Odoo %(theirs)s; this server runs %(ours)s.",
                theirs=sidecar.odoo_version,
                ours=release.series,
            )
        )
    if made_by_odoo:
        trouble.append(
            env._(
                "Odoo's database manager made it: nobody has counted its rows, and "
                "it has no SHA-256 checksums, so that a restore can compare less."
            )
        )
    absent = sorted(set(sidecar.module_names) - set(odoo_config.modules_on_disk()))
    if absent:
        trouble.append(_missing_modules(env, absent, sidecar.addons))
    return "\n".join(trouble)


def _missing_modules(env, absent, addons):
    """Return which modules this server lacks, and which of them the archive has."""
    enclosed = [name for name in absent if name in addons]
    if len(enclosed) == len(absent):
        return env._(
            "Modules that are not on this server, but in the archive: %s.",
            ", ".join(absent),
        )
    return env._(
        "Modules that are not on this server: %(absent)s. In the archive of these: "
        "%(enclosed)s.",
        absent=", ".join(absent),
        enclosed=", ".join(enclosed) or env._("none"),
    )
