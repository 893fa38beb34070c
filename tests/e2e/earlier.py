"""The addon as it was, for tests of the upgrade."""

import subprocess

BEFORE = "cdfc245"  # the last state before errors became values


def unpack_earlier(repo, dev, folder):
    """Unpack the addon of that state; return a function that makes of an addons path
    the one that has it."""
    archived = subprocess.run(
        ["git", "-C", str(repo), "archive", BEFORE, "dfr_backup"], capture_output=True
    )
    assert archived.returncode == 0, (
        "The history is needed: git fetch --unshallow\n" + archived.stderr.decode()
    )
    (folder / "old").mkdir()
    unpack = ["tar", "-x", "-C", str(folder / "old")]
    subprocess.run(unpack, input=archived.stdout, check=True)
    folder.chmod(0o755)
    return lambda path: path.replace(str(dev / "addons"), str(folder / "old"))
