"""Custom addons: archived with the git revision that they were at."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .archive import ArchiveWriter, prepare
from .progress import Progress

SKIPPED_FOLDERS = {".git", "__pycache__", "node_modules", ".venv", ".mypy_cache", ".ruff_cache"}
SKIPPED_SUFFIXES = (".pyc", ".pyo", ".swp")
SMALL = 4 << 20  # bytes
CHUNK = 1 << 20  # bytes
FOLDER = "addons/"
OBJECT_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class AddonSource:
    """An addon and its real directory."""

    name: str
    path: Path


def archive_addons(
    writer: ArchiveWriter, sources: Iterable[AddonSource], progress: Progress
) -> list[dict[str, Any]]:
    """Archive the addons under ``addons/<name>/``; return name, git revision (None when it is
    not in a git checkout), files and bytes of each.

    Unreadable files are warnings. Links that lead out of the addon are not followed, and no
    directory is a link that is followed.
    """
    archived = {m.name for m in writer.members() if m.name.startswith(FOLDER)}
    return [_archive_addon(writer, source, archived, progress) for source in sources]


def _archive_addon(
    writer: ArchiveWriter, source: AddonSource, archived: set[str], progress: Progress
) -> dict[str, Any]:
    files = size = 0
    for path in _files(source.path):
        name = f"{FOLDER}{source.name}/{path.relative_to(source.path).as_posix()}"
        try:
            size += path.stat().st_size if name in archived else _add(writer, name, path)
            files += 1
        except OSError as error:
            progress.warn(f"{path}: {error.strerror}")
        progress.tick()
    revision = git_revision(source.path)
    progress.log(f"Addon {source.name}: {files} files, revision {revision or 'unknown'}")
    return {"name": source.name, "revision": revision, "files": files, "bytes": size}


def _files(root: Path) -> Iterator[Path]:
    """Yield the regular files below ``root``, in a stable order."""
    real_root = os.path.realpath(root)
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            if name.endswith(SKIPPED_SUFFIXES) or not path.is_file():
                continue
            if Path(os.path.realpath(path)).is_relative_to(real_root):
                yield path


def _add(writer: ArchiveWriter, name: str, path: Path) -> int:
    with open(path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size <= SMALL:
            data = stream.read()
            writer.add_prepared(prepare(name, data, writer.codec))
            return len(data)
        with writer.stream_member(name) as member:
            while data := stream.read(CHUNK):
                member.write(data)
    return size


def git_revision(path: Path) -> str | None:
    """Return the commit that is checked out around ``path``, or None.

    The files of git are read, git itself is not run: its configuration may name programs.
    """
    for folder in (path, *path.parents):
        git = folder / ".git"
        if git.exists():
            try:
                return _head_of(_git_directory(git))
            except (OSError, ValueError):
                return None
    return None


def _git_directory(git: Path) -> Path:
    """Follow the ``gitdir:`` line of a worktree or a submodule."""
    if git.is_dir():
        return git
    _word, _colon, target = git.read_text().partition(":")
    return (git.parent / target.strip()).resolve()


def _head_of(git: Path) -> str | None:
    head = (git / "HEAD").read_text().strip()
    if OBJECT_NAME.fullmatch(head):
        return head
    reference = head.partition(":")[2].strip()
    if ".." in reference or not reference.startswith("refs/"):
        return None
    for base in (git, _common_directory(git)):
        loose = base / reference
        if loose.is_file():
            return loose.read_text().strip()
        packed = base / "packed-refs"
        for line in packed.read_text().splitlines() if packed.is_file() else ():
            if line.endswith(f" {reference}"):
                return line.split()[0]
    return None


def _common_directory(git: Path) -> Path:
    """Return where a worktree keeps the references that it shares."""
    common = git / "commondir"
    return (git / common.read_text().strip()).resolve() if common.is_file() else git
