"""Custom addons: archived with the git revision that they were at."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..archive.disk import read_up_to
from ..archive.prepared import SMALL, prepare
from ..archive.writer import ArchiveWriter
from ..errors import reason_of
from ..manifest.names import without_odd_characters
from ..messages import Message, Text, _
from ..progress import Progress

SKIPPED_FOLDERS = {
    ".git",
    "__pycache__",
    "node_modules",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
}
SKIPPED_SUFFIXES = (".pyc", ".pyo", ".swp")
FOLDER = "addons/"
OBJECT_NAME = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class AddonSource:
    """An addon and its directory."""

    name: str
    path: Path


def archive_addons(
    writer: ArchiveWriter, sources: Iterable[AddonSource], progress: Progress
) -> list[dict[str, Any]]:
    """Archive the addons under ``addons/<name>/``; return name, git revision (None when
    it is not in a git checkout), files and bytes of each.

    What cannot be read, and links that lead out of the addon, are warnings. Links to
    files of the addon are archived as files; links to its directories are only named in
    the log, because what is behind them is archived anyway. Raise PermanentError when
    the archive cannot be written, and Cancelled.
    """
    archived = {m.name: m.size for m in writer.members() if m.name.startswith(FOLDER)}
    return [_Addon(writer, source, archived, progress).archive() for source in sources]


class _Addon:
    """One addon on its way into the archive."""

    def __init__(
        self,
        writer: ArchiveWriter,
        source: AddonSource,
        archived: dict[str, int],
        progress: Progress,
    ):
        self._writer = writer
        self._name = source.name
        self._root = Path(os.path.realpath(source.path))
        self._archived = archived
        self._progress = progress

    def archive(self) -> dict[str, Any]:
        files = size = 0
        for path in self._files():
            try:
                size += self._add(path)
                files += 1
            except OSError as error:
                self._warn(path, reason_of(error))
        revision = git_revision(self._root)
        self._progress.log(
            Message(
                _("Addon %(name)s: %(files)s files, revision %(revision)s"),
                name=self._name,
                files=files,
                revision=revision or Message(_("unknown")),
            )
        )
        return {"name": self._name, "revision": revision, "files": files, "bytes": size}

    def _files(self) -> Iterator[Path]:
        """Yield the regular files in a stable order. Directories are visited once,
        because no link to one is followed."""
        for folder, subfolders, names in os.walk(
            self._root, onerror=self._warn_of_folder
        ):
            self._progress.tick()
            subfolders[:] = sorted(set(subfolders) - SKIPPED_FOLDERS)
            for name in subfolders + sorted(names):
                if not name.endswith(SKIPPED_SUFFIXES) and self._is_ours(
                    Path(folder, name)
                ):
                    yield Path(folder, name)

    def _is_ours(self, path: Path) -> bool:
        """Tell whether to archive what is at ``path``, and say so if a link is not
        archived."""
        try:
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                return stat.S_ISREG(mode)
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            self._warn(path, Message(_("cannot be read, or is a link to nothing")))
            return False
        if not target.is_relative_to(self._root):
            words = _("not archived: a link out of the addon, to %(target)s")
            self._warn(path, Message(words, target=_plain(target)))
        elif target.is_dir():
            words = _("%(path)s: a link to %(target)s, archived only there")
            values = {"path": _plain(path), "target": _plain(target)}
            self._progress.log(Message(words, **values))
        return target.is_relative_to(self._root) and target.is_file()

    def _add(self, path: Path) -> int:
        """Archive one file, unless it already is; return its bytes. Raise OSError."""
        name = self._member_name(path)
        if name in self._archived:
            return self._archived[name]
        file = os.open(path, OPEN)
        try:
            return self._add_open(name, file, os.fstat(file).st_size)
        finally:
            os.close(file)

    def _add_open(self, name: str, file: int, size: int) -> int:
        advance = self._progress.advance
        if size > SMALL:
            return self._writer.add_file(name, file, size, advance=advance)
        data = read_up_to(file, size)
        self._writer.add_prepared(prepare(name, data, self._writer.codec))
        advance(len(data))
        return len(data)

    def _member_name(self, path: Path) -> str:
        """Return the name in the archive, which every reader takes whatever the file's
        name is."""
        name = path.relative_to(self._root).as_posix()
        plain = without_odd_characters(name)
        if plain != name:
            words = _("its name has unusual characters, archived as %(name)s")
            self._warn(path, Message(words, name=plain))
        return f"{FOLDER}{self._name}/{plain}"

    def _warn_of_folder(self, error: OSError) -> None:
        self._warn(Path(error.filename), reason_of(error))

    def _warn(self, path: Path, reason: Text) -> None:
        words = _("Addon %(name)s, %(path)s: %(reason)s")
        values = {"name": self._name, "path": _plain(path), "reason": reason}
        self._progress.warn(Message(words, **values))


def _plain(path: Path | str) -> str:
    """Return a path as text in UTF-8, whatever its bytes are."""
    return str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")


def git_revision(path: Path) -> str | None:
    """Return the commit that is checked out around ``path``, or None.

    The files of git are read, git itself is not run: its configuration may name
    programs.
    """
    path = Path(os.path.realpath(path))
    for folder in (path, *path.parents):
        git = folder / ".git"
        if os.path.lexists(git):
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
    """Return the commit of HEAD, which may be detached. Raise OSError, ValueError."""
    head = (git / "HEAD").read_text().strip()
    if OBJECT_NAME.fullmatch(head):
        return head
    reference = head.removeprefix("ref:").strip()
    if ".." in reference or not reference.startswith("refs/"):
        return None
    for base in (git, _common_directory(git)):
        commit = _loose(base / reference) or _packed(base / "packed-refs", reference)
        if commit:
            return commit
    return None


def _loose(reference: Path) -> str | None:
    commit = reference.read_text().strip() if reference.is_file() else ""
    return commit if OBJECT_NAME.fullmatch(commit) else None


def _packed(references: Path, reference: str) -> str | None:
    for line in references.read_text().splitlines() if references.is_file() else ():
        commit, _space, name = line.partition(" ")
        if name == reference and OBJECT_NAME.fullmatch(commit):
            return commit
    return None


def _common_directory(git: Path) -> Path:
    """Return where a worktree keeps the references that it shares."""
    common = git / "commondir"
    return (git / common.read_text().strip()).resolve() if common.is_file() else git
