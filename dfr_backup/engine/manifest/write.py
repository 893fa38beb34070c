"""A manifest, made and written: never one that its own reader refuses."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ..errors.other import ManifestTooLarge
from ..errors.packs import TooManyPacks
from ..messages import Message, _
from ..untrusted import MAX_BESIDE, is_within_bounds
from .model import COMPLETE, Manifest
from .pack_use import PackUse
from .shape import BAD_CHARACTERS, LONGEST_NAME, LONGEST_REASON

# what a sidecar has besides: its archive, who signs it and who takes it in
SPARE_BYTES, SPARE_VALUES = 64 << 10, 1000
# what a manifest may lack, by its place, in the order in which it goes
OPTIONAL: dict[tuple[str, ...], str] = {
    ("table_bytes",): _("the sizes of tables"),
    ("rows",): _("the row counts"),
    ("filestore", "missing_names"): _("the names of missing files"),
    ("filestore", "damaged_names"): _("the names of damaged files"),
    ("filestore", "unreadable_names"): _("the names of unreadable files"),
    ("attachments", "elsewhere"): _("the attachments that are not in the filestore"),
}


def build(odoo: Mapping[str, Any], ours: Mapping[str, Any]) -> Manifest:
    """Return the manifest: Odoo's own keys, and ours under ``dfr_backup``.

    ``odoo`` are the keys that Odoo's database manager writes (``odoo_dump``,
    ``db_name``, ``version``, ``modules``…). Datetimes become ISO 8601 in UTC. What a
    person or another program has said is made readable: no reader takes a manifest
    with odd characters in it. That of an incremental backup gives its ``format``.
    """
    about = {"format": COMPLETE, **ours, **_names(ours)}
    values = _readable({**odoo, "dfr_backup": about})
    return Manifest.from_json(json.loads(encode(values)))


def _names(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of a manifest, as short as they are read."""
    return {
        name: ours[name] and ours[name][:LONGEST_NAME]
        for name in ("plan", "run")
        if name in ours
    }


def _readable(value: Any) -> Any:
    """Return a value with texts that every reader takes; names are as they are."""
    if isinstance(value, str):
        return BAD_CHARACTERS.sub("\ufffd", value[:LONGEST_REASON])
    if isinstance(value, Mapping):
        return {name: _readable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(inner) for inner in value]
    return value


def within_bounds(manifest: Manifest) -> tuple[Manifest, tuple[Message, ...]]:
    """Return a manifest that every reader takes, also with what its sidecar has
    besides, and what had to be left out of it for that. Raise ManifestTooLarge."""
    left_out: list[Message] = []
    for path, words in OPTIONAL.items():
        if _fits(manifest):
            break
        if _is_there(manifest, path):
            manifest = _without(manifest, path)
            left_out.append(Message(words))
    if not _fits(manifest):
        raise ManifestTooLarge
    return manifest, tuple(left_out)


def _fits(manifest: Manifest) -> bool:
    return is_within_bounds(encode(manifest), SPARE_BYTES, SPARE_VALUES)


def _is_there(manifest: Manifest, path: tuple[str, ...]) -> bool:
    value: Any = manifest.ours
    for name in path:
        value = (value or {}).get(name)
    return bool(value)


def _without(manifest: Manifest, path: tuple[str, ...]) -> Manifest:
    *outer, last = "dfr_backup", *path
    values = content = manifest.to_json()
    for name in outer:
        content[name] = {**content[name]}
        content = content[name]
    content[last] = None
    return Manifest(values)


def sidecar(
    manifest: Manifest,
    key: str,
    size: int,
    sha256: str,
    sign: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
    packs: Sequence[PackUse] | None = None,
) -> bytes:
    """Return the sidecar: the manifest and what the stored archive must be (bytes,
    SHA-256), as ``sign`` returns it; that of an incremental backup has ``packs``.
    Raise TooManyPacks."""
    archive = {"key": key, "size": size, "sha256": sha256}
    about = {**manifest.to_json(), "archive": archive}
    if packs is not None:
        about["packs"] = [use.to_json() for use in packs]
    data = encode(sign(about))
    if packs and not is_within_bounds(data, most=MAX_BESIDE):
        raise TooManyPacks(packs=len(packs))
    return data


def taken_in(manifest: Manifest, facts: Mapping[str, Any]) -> Manifest:
    """Return the manifest of an archive from elsewhere, with the ``facts`` about its
    import."""
    ours = {**manifest.ours, "import": {**facts}}
    return Manifest({**manifest.values, "dfr_backup": ours})


def encode(content: Manifest | Mapping[str, Any]) -> bytes:
    """Return a manifest as JSON in UTF-8, with a line feed at its end."""
    values = content.to_json() if isinstance(content, Manifest) else content
    text = json.dumps(values, indent=2, ensure_ascii=False, default=_plain)
    return text.encode() + b"\n"


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a manifest")
