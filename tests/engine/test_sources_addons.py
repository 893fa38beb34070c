"""Custom addons are archived as they are; what is left out is said."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from dfr_backup.engine.archive.prepared import SMALL
from dfr_backup.engine.archive.reader import open_archive
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.errors import Cancelled
from dfr_backup.engine.progress import Progress
from dfr_backup.engine.sources.addons import AddonSource, archive_addons, git_revision


@pytest.fixture
def addon(tmp_path):
    folder = tmp_path / "custom" / "shop"
    write(folder / "__manifest__.py", "{'name': 'Shop'}")
    write(folder / "models" / "shop.py", "x = 1")
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def archive(folder, *addons):
    """Return (what was returned, the content of the archive, the progress)."""
    writer, progress = ArchiveWriter.create(folder / "a.zip"), Progress()
    sources = [AddonSource(addon.name, addon) for addon in addons]
    found = archive_addons(writer, sources, progress)
    writer.close()
    with zipfile.ZipFile(folder / "a.zip") as stream:
        return found, {name: stream.read(name) for name in stream.namelist()}, progress


def test_addon_is_archived_under_its_name(tmp_path, addon):
    found, content, progress = archive(tmp_path, addon)
    assert found == [{"name": "shop", "revision": None, "files": 2, "bytes": 21}]
    assert content == {
        "addons/shop/__manifest__.py": b"{'name': 'Shop'}",
        "addons/shop/models/shop.py": b"x = 1",
    }
    assert progress.warnings == []
    assert progress.done == 21


def test_order_does_not_depend_on_the_file_system(tmp_path, addon):
    for name in ("zz", "b/y", "b/x", "a/x", "B", "ä"):
        write(addon / name, name)
    _found, content, _progress = archive(tmp_path, addon)
    names = [name.removeprefix("addons/shop/") for name in content]
    expected = [
        "B",
        "__manifest__.py",
        "zz",
        "ä",
        "a/x",
        "b/x",
        "b/y",
        "models/shop.py",
    ]
    assert names == expected


def test_what_can_be_made_again_is_left_out(tmp_path, addon):
    left_out = [
        ".git/config",
        "__pycache__/x.py",
        "models/__pycache__/shop.cpython-311.pyc",
        "models/shop.pyc",
        "static/node_modules/left-pad/index.js",
        ".venv/bin/python",
    ]
    for name in left_out:
        write(addon / name, name)
    found, content, progress = archive(tmp_path, addon)
    assert len(content) == found[0]["files"] == 2
    assert progress.warnings == []


def test_large_file_is_streamed(tmp_path, addon):
    data = os.urandom(SMALL + 7)
    (addon / "large").write_bytes(data)
    found, content, progress = archive(tmp_path, addon)
    assert content["addons/shop/large"] == data
    assert found[0]["bytes"] == progress.done == 21 + len(data)


def test_links(tmp_path, addon):
    write(tmp_path / "secret", "not yours")
    (addon / "out").symlink_to(tmp_path / "secret")
    (addon / "out_folder").symlink_to(tmp_path)
    (addon / "nothing").symlink_to("nowhere")
    (addon / "itself").symlink_to("itself")
    (addon / "models" / "loop").symlink_to(addon)
    (addon / "copy.py").symlink_to("models/shop.py")
    found, content, progress = archive(tmp_path, addon)
    assert content["addons/shop/copy.py"] == b"x = 1"
    assert len(content) == found[0]["files"] == 3
    names = [os.path.basename(line.values["path"]) for line in progress.warnings]
    assert sorted(names) == ["itself", "nothing", "out", "out_folder"]
    loop = str(addon / "models/loop")
    assert any(line.values.get("path") == loop for line in progress.lines)


def test_addon_that_is_itself_a_link(tmp_path, addon):
    (tmp_path / "linked").symlink_to(addon)
    _found, content, progress = archive(tmp_path, tmp_path / "linked")
    assert "addons/linked/models/shop.py" in content
    assert progress.warnings == []


def test_what_is_neither_file_nor_folder_is_passed_by(tmp_path, addon):
    os.mkfifo(addon / "fifo")
    found, _content, _progress = archive(tmp_path, addon)
    assert found[0]["files"] == 2


def test_names_that_are_not_utf_8(tmp_path, addon):
    with open(os.fsencode(addon) + b"/caf\xe9.txt", "wb") as stream:
        stream.write(b"x")
    _found, content, progress = archive(tmp_path, addon)
    assert content["addons/shop/caf%E9.txt"] == b"x"
    assert len(progress.warnings) == 1
    str(progress.warnings[0]).encode()


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9.txt", b"a\\b.txt", b"new\nline", b"a\x7f", b"C:x", b"..."],
)
def test_whatever_a_file_is_called_the_archive_can_be_read(tmp_path, addon, name):
    with open(os.fsencode(addon) + b"/" + name, "wb") as stream:
        stream.write(b"x")
    writer = ArchiveWriter.create(tmp_path / "odd.zip")
    found = archive_addons(writer, [AddonSource("shop", addon)], Progress())
    writer.write_checksums()
    writer.close()
    with open_archive(tmp_path / "odd.zip") as opened:
        assert opened.check(Progress()) == found[0]["files"] == 3


def test_addon_that_is_gone_is_a_warning(tmp_path):
    found, content, progress = archive(tmp_path, tmp_path / "gone")
    assert (found[0]["files"], content) == (0, {})
    assert len(progress.warnings) == 1


UNREADABLE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import conftest
from dfr_backup.engine.sources.addons import AddonSource, archive_addons
from dfr_backup.engine.archive.writer import ArchiveWriter
from dfr_backup.engine.progress import Progress
progress, addon = Progress(), Path(sys.argv[2])
writer = ArchiveWriter.create(Path(sys.argv[3]))
print(archive_addons(writer, [AddonSource(addon.name, addon)], progress)[0]["files"])
print(*(line.values["path"] for line in progress.warnings), sep="\\n")
"""


def test_what_cannot_be_read_is_a_warning(tmp_path, addon):
    write(addon / "secret.py", "x")
    write(addon / "locked" / "x.py", "x")
    write(addon / "half_locked" / "x.py", "x")
    (addon / "secret.py").chmod(0)
    (addon / "locked").chmod(0)
    (addon / "half_locked").chmod(0o400)
    dropped = "-dac_override,-dac_read_search"
    prefix = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    if os.geteuid():
        prefix = []
    elif not shutil.which("setpriv"):
        pytest.skip("root reads everything, and there is no setpriv")
    script = [
        sys.executable,
        "-c",
        UNREADABLE,
        os.path.dirname(__file__),
        addon,
        tmp_path / "a.zip",
    ]
    result = subprocess.run([*prefix, *script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    files, *paths = result.stdout.splitlines()
    assert files == "2"
    assert len(paths) == 3
    assert {"secret.py", "locked", "half_locked"} == {
        path.split("/shop/")[1].split("/")[0] for path in paths
    }


def test_interrupted_run_goes_on(tmp_path, addon):
    writer, sources = (
        ArchiveWriter.create(tmp_path / "a.zip"),
        [AddonSource("shop", addon)],
    )
    whole = archive_addons(writer, sources, Progress())
    size = writer.save()
    writer.release()
    os.truncate(tmp_path / "a.zip", size - 1)
    writer = ArchiveWriter.resume(tmp_path / "a.zip")
    assert [member.name for member in writer.members()] == [
        "addons/shop/__manifest__.py"
    ]
    assert archive_addons(writer, sources, Progress()) == whole
    assert len(list(writer.members())) == 2
    writer.release()


def test_cancel(tmp_path, addon):
    def stop(progress):
        raise Cancelled

    progress = Progress(stop)
    progress._next_report = 0
    writer = ArchiveWriter.create(tmp_path / "a.zip")
    with pytest.raises(Cancelled):
        archive_addons(writer, [AddonSource("shop", addon)], progress)
    writer.release()


# === GIT === #


@pytest.fixture
def git(tmp_path, addon):
    """A function that runs git on a checkout with the addon in it."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    checkout = addon.parent
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "x" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "x@example.com" for who in ("AUTHOR", "COMMITTER")},
    }

    def run(*arguments, at=checkout):
        command = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(
            command, cwd=at, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    run("init", "-q", "-b", "main/19.0")
    assert git_revision(addon) is None
    run("add", ".")
    run("commit", "-q", "-m", "x")
    return run


def test_revision_of_a_branch(git, addon):
    assert git_revision(addon) == git("rev-parse", "HEAD")


def test_revision_after_pack_refs(git, addon):
    git("branch", "other")
    git("commit", "-q", "--allow-empty", "-m", "y")
    git("tag", "-a", "-m", "z", "v1")
    git("pack-refs", "--all")
    git("checkout", "-q", "main/19.0")
    assert git_revision(addon) == git("rev-parse", "HEAD")


def test_revision_of_a_detached_head(git, addon):
    git("checkout", "-q", "--detach")
    git("commit", "-q", "--allow-empty", "-m", "y")
    assert git_revision(addon) == git("rev-parse", "HEAD")


@pytest.mark.parametrize("packed", [False, True])
def test_revision_of_a_worktree(git, addon, tmp_path, packed):
    git("worktree", "add", "-q", "-b", "other", tmp_path / "tree")
    git("commit", "-q", "--allow-empty", "-m", "y", at=tmp_path / "tree")
    if packed:
        git("pack-refs", "--all")
    assert git_revision(tmp_path / "tree" / "shop") == git("rev-parse", "other")
    assert git_revision(addon) != git("rev-parse", "other")


def test_revision_of_a_submodule(git, addon, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    git("init", "-q", at=outer)
    git("submodule", "--quiet", "add", addon.parent, "custom", at=outer)
    assert git_revision(outer / "custom" / "shop") == git("rev-parse", "HEAD")


def test_revision_of_an_addon_behind_a_link(git, addon, tmp_path):
    (tmp_path / "linked").symlink_to(addon)
    assert git_revision(tmp_path / "linked") == git("rev-parse", "HEAD")


def test_addon_is_archived_with_its_revision(git, addon, tmp_path):
    found, _content, progress = archive(tmp_path, addon)
    assert found[0]["revision"] == git("rev-parse", "HEAD")
    assert progress.lines[-1].values["revision"] == found[0]["revision"]


@pytest.mark.parametrize(
    "head",
    [
        "",
        "garbage",
        "ref: ",
        "ref: refs/heads/../../../secret",
        "ref: HEAD",
        "\xff" * 40,
    ],
)
def test_broken_checkout_has_no_revision(addon, head):
    git = addon.parent / ".git"
    write(git / "HEAD", "")
    (git / "HEAD").write_text(head, encoding="latin-1")
    write(git / "refs" / "heads" / "main", "0" * 40)
    write(addon.parent / "secret", "1" * 40)
    assert git_revision(addon) is None


def test_no_program_of_the_checkout_is_run(git, addon, tmp_path):
    """``git`` itself would run what the checkout's configuration names."""
    git("config", "core.fsmonitor", f"touch {tmp_path / 'run'}")
    assert git_revision(addon)
    assert not (tmp_path / "run").exists()
