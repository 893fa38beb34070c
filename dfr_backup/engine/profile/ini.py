"""The file of a profile, and the files that it names: read as text, and held to who
else may read them. No error shows a line or a value that may be a secret."""

import configparser
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import EngineError, reason_of
from ..errors.profile import (
    ProfileBadValue,
    ProfileExposed,
    ProfileMalformed,
    ProfileStorageRefused,
    ProfileUnknown,
    ProfileUnreadable,
    ProfileWritable,
)
from ..messages import Message, _

MOST = 1 << 20  # bytes of a file
# what is mounted here is for one container alone, and readable as Docker makes it
PRIVATE_FOLDERS = (Path("/run/secrets"),)
IN_FILE = "_file"
Stamp = tuple[int, ...]

TOO_LONG = _("it has more than 1 MiB")
NO_TEXT = _("it is not UTF-8")
NO_FILE = _("it is not a file")
NO_LINE = _("this is neither a section nor “key = value”")
TWICE = _("the same section or key occurs twice")
GIVEN_TWICE = _("it is given as %(key)s_file, too")
NOT_ABSOLUTE = _("it must be an absolute path")
MISSING = _("it is missing")
NO_NUMBER = _("it must be a whole number from %(least)s to %(most)s")
NO_CHOICE = _("it must be one of %(choices)s")


def stamp(path: Path) -> Stamp:
    """Return what tells a file from what it was before; () when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class Source:
    """One reading of a profile. ``watched`` has the stamp of each file that was
    read."""

    def __init__(self, path: Path, private: Sequence[Path] = PRIVATE_FOLDERS):
        self.path = path
        self.watched: dict[Path, Stamp] = {}
        self._private = private
        self._holds_secret = False

    def sections(self) -> dict[str, "Section"]:
        parser = configparser.RawConfigParser(
            default_section="\0", delimiters=("=",), empty_lines_in_values=False
        )
        problem: tuple[object, str] | None = None
        try:
            parser.read_string(self.read(self.path, secret=False))
        except (
            configparser.DuplicateSectionError,
            configparser.DuplicateOptionError,
        ) as error:
            problem = error.lineno, TWICE
        except configparser.MissingSectionHeaderError as error:
            problem = error.lineno, NO_LINE
        except configparser.ParsingError as error:
            problem = error.errors[0][0], NO_LINE
        if problem:  # outside: what the parser says holds the line
            line, reason = problem
            raise ProfileMalformed(file=self.path, line=line, reason=Message(reason))
        return {
            name: Section(self, name, dict(parser.items(name)))
            for name in parser.sections()
        }

    def read(self, path: Path, *, secret: bool) -> str:
        """Return the text of a file. Raise ProfileUnreadable, or ProfileExposed."""
        self.watched[path] = stamp(path)
        try:
            with open(path, "rb", opener=_open_at_once) as file:
                self._require_safe(path, os.fstat(file.fileno()).st_mode, secret)
                data = file.read(MOST + 1)
        except OSError as error:
            raise ProfileUnreadable(file=path, reason=reason_of(error)) from error
        if len(data) > MOST:
            raise ProfileUnreadable(file=path, reason=Message(TOO_LONG))
        text = _text_of(data)
        if text is None:
            raise ProfileUnreadable(file=path, reason=Message(NO_TEXT))
        return text

    def note_secret(self) -> None:
        """A secret stands in the profile itself."""
        self._holds_secret = True

    def require_private(self) -> None:
        """Raise ProfileExposed when others can read a secret in the profile itself."""
        if self._holds_secret:
            self._require_safe(self.path, os.stat(self.path).st_mode, secret=True)

    def _require_safe(self, path: Path, mode: int, secret: bool) -> None:
        if not stat.S_ISREG(mode):
            raise ProfileUnreadable(file=path, reason=Message(NO_FILE))
        real = path.resolve()
        if any(real.is_relative_to(folder.resolve()) for folder in self._private):
            return
        if mode & stat.S_IWOTH:
            raise ProfileWritable(file=path)
        if secret and mode & stat.S_IROTH:
            raise ProfileExposed(file=path)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe has no end


def _text_of(data: bytes) -> str | None:
    """Return the text, or None. An error of the decoder would hold the secrets."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


class Section:
    """The keys of one section, which are taken one by one."""

    def __init__(self, source: Source, name: str, values: Mapping[str, str]):
        self._source = source
        self._name = name
        self._values = dict(values)

    def bad(self, key: str, template: str, /, **values: object) -> ProfileBadValue:
        return ProfileBadValue(
            file=self._source.path,
            section=self._name,
            key=key,
            reason=Message(template, **values),
        )

    def refused(self, error: EngineError) -> ProfileStorageRefused:
        """Return the error for values that somebody else has refused."""
        return ProfileStorageRefused(
            file=self._source.path, section=self._name, problem=error
        )

    def text(self, key: str, *, secret: bool = False) -> str:
        """Return what is given for a key, "" when nothing is."""
        named = self._values.pop(f"{key}{IN_FILE}", "").strip()
        given = self._values.pop(key, "").strip()
        if named and given:
            raise self.bad(key, GIVEN_TWICE, key=key)
        if named:
            path = Path(named)
            if not path.is_absolute():
                raise self.bad(f"{key}{IN_FILE}", NOT_ABSOLUTE)
            found = self._source.read(path, secret=secret).strip()
            if not found:
                raise self.bad(f"{key}{IN_FILE}", MISSING)
            return found
        if given and secret:
            self._source.note_secret()
        return given

    def required(self, key: str) -> str:
        found = self.text(key)
        if not found:
            raise self.bad(key, MISSING)
        return found

    def number(self, key: str, least: int, most: int) -> int | None:
        given = self.text(key)
        if not given:
            return None
        plain = given.isascii() and given.isdecimal() and len(given) < 10
        if not plain or not least <= int(given) <= most:
            raise self.bad(key, NO_NUMBER, least=least, most=most)
        return int(given)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        given = self.text(key)
        if given and given not in choices:
            raise self.bad(key, NO_CHOICE, choices=", ".join(choices))
        return given

    def required_choice(self, key: str, choices: Sequence[str]) -> str:
        found = self.choice(key, choices)
        if not found:
            raise self.bad(key, NO_CHOICE, choices=", ".join(choices))
        return found

    def several(self, key: str) -> tuple[str, ...]:
        """Return what stands there, separated by commas or lines."""
        parts = self.text(key).replace("\n", ",").split(",")
        return tuple(filter(None, map(str.strip, parts)))

    def require_all_taken(self) -> None:
        """Raise ProfileUnknown for keys that nobody knows."""
        if self._values:
            raise unknown(self._source.path, self._name, self._values)


def unknown(file: Path, section: str, names: Mapping[str, object]) -> ProfileUnknown:
    return ProfileUnknown(file=file, section=section, names=", ".join(names))
