"""Where things lie, and how a child of the benchmark is started."""

import configparser
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path

DEV = Path(os.environ["DFR_DEV_DIR"])
HOME = DEV / "bench"
DATA = HOME / "data"
TMP = HOME / "tmp"
OCA = HOME / "oca"
OCA_ADDONS = OCA / "odoo" / "addons"
OUT = HOME / "out"
WORK = DATA / "dfr_backup" / "work"
BACKUPS = DATA / "dfr_backup" / "backups"
CONF = HOME / "odoo.conf"
LOG = HOME / "log"
NO_ISAL = HOME / "no_isal"
RESULT = HOME / "latest.json"
LIMIT = 3600  # seconds that any child may take


def only_one():
    """Return an open lock: two benchmarks at once would measure each other."""
    HOME.mkdir(parents=True, exist_ok=True)
    lock = open(HOME / "lock", "w")  # noqa: SIM115 (held until the end)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit("Another benchmark is running") from None
    return lock


def prepare():
    """Make the directories, a configuration of our own, and a package that hides
    isal."""
    for path in (DATA, TMP, OUT, LOG, NO_ISAL / "isal"):
        path.mkdir(parents=True, exist_ok=True)
    (NO_ISAL / "isal" / "__init__.py").write_text(
        'raise ImportError("hidden by the benchmark")\n'
    )
    conf = configparser.RawConfigParser()
    conf.read(DEV / "odoo.conf")
    addons = [str(DEV / "addons")] + ([str(OCA_ADDONS)] if has_oca() else [])
    conf.set("options", "addons_path", ",".join(addons))
    conf.set("options", "data_dir", str(DATA))
    conf.set("options", "db_host", _socket())
    with open(
        CONF, "w", opener=lambda path, flags: os.open(path, flags, 0o600)
    ) as stream:
        conf.write(stream)


def _socket():
    """Return where the local socket is, as an Odoo beside its PostgreSQL has it by
    default."""
    settings = dict(
        line.split("=", 1) for line in (DEV / "settings").read_text().split()
    )
    return settings["PG_SOCKET"]


def has_oca():
    """Tell whether auto_backup for Odoo 19 could be installed."""
    return (OCA_ADDONS / "auto_backup" / "__manifest__.py").exists()


def environment(isal=True):
    """Return the environment of a child; without ``isal``, importing it fails there."""
    env = dict(os.environ, ODOO_RC=str(CONF), TMPDIR=str(TMP), PGHOST=_socket())
    env["PYTHONPATH"] = os.pathsep.join(
        [str(OCA)] if isal else [str(NO_ISAL), str(OCA)]
    )
    return env


def isal_imports(env):
    """Tell whether a child with this environment would find isal."""
    command = ["python", "-c", "import isal.isal_zlib"]
    return (
        subprocess.run(command, env=env, cwd="/", stderr=subprocess.DEVNULL).returncode
        == 0
    )


def filestore(database):
    return DATA / "filestore" / database


def forget(folder):
    """Take what may be read in a folder out of the page cache: at night, nobody has
    just read it."""
    for path in filter(Path.is_file, folder.rglob("*")):
        with contextlib.suppress(OSError), open(path, "rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def odoo(*arguments, log, script=None):
    """Run an Odoo command to its end; a failure ends the benchmark and names the
    log."""
    with open(LOG / log, "ab") as output:
        done = subprocess.run(
            ["odoo", *arguments],
            env=environment(),
            input=script and script.encode(),
            stdout=output,
            stderr=output,
            timeout=LIMIT,
        )
    if done.returncode:
        raise SystemExit(f"odoo {' '.join(arguments)} failed: see {LOG / log}")


def empty(path):
    """Delete what is in a directory of the benchmark's own."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
