"""The steps of runs, each declared once. A kind of run names its own, in order."""

from dataclasses import dataclass
from typing import Literal

from ..engine.messages import _


@dataclass(frozen=True)
class Step:
    """A step of a run.

    ``key`` is the value of ``backup.step.kind`` and the name of the method that does
    it; ``name`` the template that people read. ``per`` says what there is one of it
    for; with ``when``, there is one only where one of these fields of the run is set.
    ``weight`` is its usual share of the whole run, and a ``quick`` one takes seconds
    also where it never ran. ``in_work`` reads or writes the working directory.
    """

    key: str
    name: str
    per: Literal["run", "storage"] = "run"
    when: tuple[str, ...] = ()
    weight: int = 2
    quick: bool = False
    in_work: bool = False
    names_copy: bool = False  # a run may have several in one storage


INITIALIZE = Step("initialize", _("Prepare"), quick=True)
DUMP_DATABASE = Step(
    "dump_database",
    _("Dump database"),
    when=("include_database",),
    weight=45,
    in_work=True,
)
ARCHIVE_FILES = Step(
    "archive_files",
    _("Archive files"),
    when=("include_filestore", "include_addons"),
    weight=35,
    in_work=True,
)
COMPRESS = Step("compress", _("Finalize archive"), quick=True, in_work=True)
UPLOAD = Step("upload", _("Upload"), per="storage", weight=8, in_work=True)
VERIFY = Step("verify", _("Verify"), per="storage", weight=8, names_copy=True)
CLEANUP = Step("cleanup", _("Apply retention"), quick=True)
SCAN = Step("scan", _("Scan storage"), per="storage")
PRUNE = Step("prune", _("Delete unneeded packs"), per="storage")
FETCH = Step("fetch", _("Fetch"))
CHECK = Step("check", _("Check"))
CREATE_DATABASE = Step("create_database", _("Create database"))
LOAD = Step("load", _("Load"))
FILESTORE = Step("filestore", _("Unpack files"))
ADDONS = Step("addons", _("Unpack addons"), when=("restore_addons",))
FINISH = Step("finish", _("Finish"))
COMPARE = Step("compare", _("Compare"))
BOOT = Step("boot", _("Boot"))
DROP = Step("drop", _("Drop"))
REPAIR = Step("repair", _("Repair files"))
