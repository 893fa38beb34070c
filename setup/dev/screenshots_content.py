"""Fed to ``odoo shell``: a company whose backups have a past.

Two plans and two storages; each run of the past is a real one of today, moved back in
time. Called three times: PART=plans sets up what is to run, PART=past makes the history
of what ran since, and PART=settle lets it be whole.
"""

import os
import random
import uuid
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from odoo import fields

from odoo.addons.dfr_backup.models.plan.copies import stored as stored_by
from odoo.addons.dfr_backup.models.plan.retention import decide

random.seed(19)
TZ = ZoneInfo("Europe/Brussels")
FAR = os.environ["FAR_SERVER"]


def plans():
    """Leave two plans and two storages, and nothing of what the demo has done."""
    for table in ("backup_copy", "backup_backup", "backup_step", "backup_job"):
        env.cr.execute(f"DELETE FROM {table}")
    env["ir.config_parameter"].set_param("database.uuid", str(uuid.uuid4()))
    env["ir.config_parameter"].set_param(
        "web.base.url", "https://odoo.oakfield.example"
    )
    env.company.name = "Oakfield Furniture"
    admin = env.ref("base.user_admin")
    admin.write({"email": "mitchell@oakfield.local", "tz": "Europe/Brussels"})
    env["mail.activity"].search([]).unlink()  # a quiet top bar
    env["discuss.channel.member"].search(
        [("partner_id", "=", admin.partner_id.id)]
    ).unlink()
    env.cr.execute("DELETE FROM mail_notification")
    here = env["backup.storage"].search([], limit=1)
    here.write({"name": "This server", "local_path": os.environ["LOCAL_STORAGE"]})
    here.owner_uuid = env["backup.job"]._current_database_uuid()
    far = env["backup.storage"].create(
        {
            "name": "Off-site (MinIO)",
            "provider": "s3",
            "s3_preset": "minio",
            "s3_endpoint": FAR,
            "s3_region": "us-east-1",
            "s3_addressing": "path",
            "s3_bucket": "oakfield-backups",
            "s3_prefix": "odoo",
            "s3_access_key": "backup-writer",
            "s3_secret_key": "not a secret, and no key of anything",
            "retry_minutes": 0,
        }
    )
    nightly = env["backup.plan"].search([], limit=1)
    nightly.write(
        {
            "name": "Every night",
            "storage_ids": [(6, 0, (here + far).ids)],
            "tz": "Europe/Brussels",
            "drill_every": "7",
        }
    )
    env["backup.plan"].create(
        {
            "name": "Database, every hour",
            "frequency": "hourly",
            "time": 0.5,
            "tz": "Europe/Brussels",
            "include_filestore": False,
            "include_addons": False,
            "retention": "custom",
            "keep_hourly": 24,
            "keep_minimum": 2,
            "storage_ids": [(6, 0, (here + far).ids)],
            "drill_every": "30",
        }
    )
    for storage in here + far:
        storage.action_test()
    env["ir.attachment"].create(
        [
            {"name": f"catalogue-{number:02}.pdf", "raw": random.randbytes(4 << 20)}
            for number in range(int(os.environ["LARGE_FILES"]))
        ]
    )


def past():
    """Move copies of the runs of today back in time, and let the rules have taken
    their due."""
    local = datetime.now(timezone.utc).astimezone(TZ)
    nightly, hourly = env["backup.plan"].search([])
    jobs = {
        plan: plan.job_ids.filtered(lambda job: job.kind == "backup")[:1]
        for plan in nightly + hourly
    }
    moments = []
    for days in range(31, 0, -1):
        night = (local - timedelta(days=days)).replace(
            hour=2, minute=0, second=1, microsecond=0
        )
        moments.append((night, nightly, days))
    last_hour = local.replace(minute=30, second=1, microsecond=0)
    for hours in range(32, 0, -1):
        moments.append((last_hour - timedelta(hours=hours), hourly, 0))
    for moment, plan, days in sorted(moments, key=lambda found: found[0]):
        clone(jobs[plan], moment.astimezone(timezone.utc).replace(tzinfo=None), days)
    forget(jobs.values())
    for number, job in enumerate(env["backup.job"].search([], order="id"), 3201):
        job.name = f"B{number:05}"
    env["ir.sequence"].search([("code", "=", "backup.job")]).number_next_actual = (
        3201 + len(moments)
    )
    expire()


def clone(job, start, days):
    """Copy a run with its steps and copies so that it began at ``start``."""
    shift = start - job.date_start
    new = copy_row(
        "backup_job", job.id, shift, uuid=str(uuid.uuid4()), trigger="schedule"
    )
    steps = {
        step: copy_row("backup_step", step.id, shift, job_id=new)
        for step in job.step_ids
    }
    factor = (1 - 0.007 * days) * random.uniform(0.985, 1.0)
    slower = random.uniform(0.85, 1.15) * factor
    key = f"oakfield-{start:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}.zip"
    run(
        "UPDATE backup_job SET archive_name = %s, archive_size = archive_size * %s, "
        "user_id = NULL, scheduled_at = date_start, date_end = date_start + duration * "
        "%s * interval '1 second', duration = duration * %s WHERE id = %s",
        key,
        factor,
        slower,
        slower,
        new,
    )
    run(
        "UPDATE backup_step SET seconds = seconds * %s, bytes_done = bytes_done * %s,"
        " bytes_total = bytes_total * %s WHERE job_id = %s",
        slower,
        factor,
        factor,
        new,
    )
    digest = uuid.uuid4().hex * 2
    about = {"job_id": new, "name": key, "sha256": digest}
    parents = {
        one: copy_row("backup_backup", one.id, shift, **about)
        for one in job.copy_ids.backup_id
    }
    run("UPDATE backup_backup SET size = size * %s WHERE job_id = %s", factor, new)
    for stored in job.copy_ids:
        about = {"job_id": new, "key": key, "backup_id": parents[stored.backup_id]}
        made = copy_row("backup_copy", stored.id, shift, **about)
        run(
            "UPDATE backup_copy SET size = size * %s, sha256 = %s, signature = 'ours'"
            " WHERE id = %s",
            factor,
            digest,
            made,
        )
    if days == 19:
        fail(new, steps, "failure", ["upload", "verify"], None)
    if days == 9:
        far = job.copy_ids.storage_id.filtered(lambda storage: storage.provider == "s3")
        fail(new, steps, "partial", ["upload", "verify"], far)
    return new


def fail(job, steps, state, kinds, storage):
    """Let the last night of a storage have gone wrong."""
    run(
        "UPDATE backup_job SET state = %s, error = %s WHERE id = %s",
        state,
        "minio.oakfield.example cannot be reached.",
        job,
    )
    for step, new in steps.items():
        if step.kind in kinds and (not storage or step.storage_id == storage):
            run(
                "UPDATE backup_step SET state = %s WHERE id = %s",
                "failure" if step.kind == "upload" else "skipped",
                new,
            )
    where = " AND storage_id = %s" if storage else ""
    run(
        f"DELETE FROM backup_copy WHERE job_id = %s{where}",
        job,
        *([storage.id] if storage else []),
    )
    run(
        "DELETE FROM backup_backup b WHERE job_id = %s"
        " AND NOT EXISTS (SELECT FROM backup_copy WHERE backup_id = b.id)",
        job,
    )


def copy_row(table, identifier, shift, **values):
    """Copy a row with all its times moved; return the new row's id."""
    env.flush_all()
    env.cr.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND column_name != 'id'",
        [table],
    )
    columns, expressions, parameters = [], [], []
    for name, kind in env.cr.fetchall():
        columns.append(f'"{name}"')
        if name in values:
            expressions.append("%s")
            parameters.append(values[name])
        elif kind.startswith("timestamp"):
            expressions.append(f'"{name}" + %s')
            parameters.append(shift)
        else:
            expressions.append(f'"{name}"')
    env.cr.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(expressions)}"
        f" FROM {table} WHERE id = %s RETURNING id",
        [*parameters, identifier],
    )
    return env.cr.fetchone()[0]


def forget(jobs):
    """Remove the runs that were copied, and what they stored."""
    for job in jobs:
        for stored in job.copy_ids:
            storage = stored.storage_id._get_storage()
            for name in (stored.key, stored.key.removesuffix(".zip") + ".json"):
                storage.delete(name)
        run("DELETE FROM backup_copy WHERE job_id = %s", job.id)
        run("DELETE FROM backup_backup WHERE job_id = %s", job.id)
        run("DELETE FROM backup_step WHERE job_id = %s", job.id)
        run("DELETE FROM backup_job WHERE id = %s", job.id)
    env.invalidate_all()


def expire():
    """Mark as deleted what the rules would have deleted, with room for the run that
    comes next."""
    env.invalidate_all()
    for plan in env["backup.plan"].search([]):
        for storage in plan.storage_ids:
            newest = stored_by(plan, storage)[:1]
            shift = fields.Datetime.now() - newest.date
            extra = copy_row("backup_copy", newest.id, shift, key="the next one")
            env.invalidate_all()
            decision = decide(plan, storage, datetime.now(timezone.utc))
            gone = [
                int(verdict.identifier)
                for verdict in decision.verdicts
                if not verdict.keep
            ]
            run("UPDATE backup_copy SET state = 'deleted' WHERE id = ANY(%s)", gone)
            run("DELETE FROM backup_copy WHERE id = %s", extra)
            env.invalidate_all()


def settle():
    """The last look at the storages found no files of the nights that were made up.
    And some other servers are watched."""
    watch()
    copies = env["backup.copy"].search([("state", "=", "missing")])
    env["backup.job"]._persist(copies, {"state": "verified"})


def watch():
    """Watch servers of every state."""
    now = fields.Datetime.now()
    hour = timedelta(hours=1)
    version = env["ir.module.module"]._get("dfr_backup").installed_version
    good = {"state": "good", "version": version, "answered_at": now, "asked_at": now}
    silent = {"state": "silent", "failures": 3, "answered_at": now - 5 * hour}
    found = [
        ("Antwerp", "antwerp", {**good, "last_good": now - 7 * hour, "size": 31 << 30}),
        ("Brussels", "brussels", {**good, "last_good": now - hour, "size": 9 << 30}),
        (
            "Ghent",
            "ghent",
            {
                **good,
                "state": "failing",
                "reported_status": "overdue",
                "problem": "Every night: no successful backup within 36 hours.",
                "problem_code": "RUN-13",
                "last_good": now - 60 * hour,
                "size": 14 << 30,
            },
        ),
        ("Lyon", "lyon", {**good, "last_good": now - 3 * hour, "size": 6 << 30}),
        (
            "Web shop",
            "shop",
            {
                **good,
                **silent,
                "asked_at": now,
                "last_good": now - 9 * hour,
                "size": 2 << 30,
                "error": "shop.oakfield.example cannot be reached.",
            },
        ),
    ]
    for name, host, values in found:
        url = f"https://{host}.oakfield.example"
        env["backup.server"].create({"name": name, "url": url}).write(values)


def run(query, *parameters):
    env.cr.execute(query, parameters)


{"plans": plans, "past": past, "settle": settle}[os.environ["PART"]]()
env.cr.commit()
