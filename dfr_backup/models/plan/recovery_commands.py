"""The shell of the recovery kit. Whoever uses it has lost a server, so its lines are
complete: what they need is asked for or set before."""

from dataclasses import dataclass
from shlex import quote

ADDONS_FOLDER = "/srv/odoo/restored-addons"
PACKS = """$(jq -r '.packs[]?.key' "files/$STEM.json")"""
SUMS = r'(.archive, .packs[]?) | "\(.sha256)  files/\(.key)"'


@dataclass(frozen=True)
class Recipe:
    """What the backups of a plan are like, and where its server had its things.

    ``encryption`` is that of plans. Any of the backups may be ``incremental``.
    """

    database: str
    conf: str
    data_dir: str
    encryption: str = "none"
    incremental: bool = False
    has_files: bool = True
    has_addons: bool = False

    def blocks(self):
        """Return the blocks of shell by what they do."""
        return {
            "settings": _text(self._settings()),
            "files": _text([*self._fetch(), *self._decrypt()]),
            "production_addon": self._with_addon("DATABASE", " --same-identity"),
            "production_odoo": self._with_odoo("DATABASE", ""),
            "production_hand": _text(
                [*self._by_hand("DATABASE"), 'odoo backup moved -d "$DATABASE"']
            ),
            "copy_addon": self._with_addon("COPY", " --neutralize"),
            "copy_odoo": self._with_odoo("COPY", " --neutralize"),
            "copy_hand": _text([*self._by_hand("COPY"), 'odoo neutralize -d "$COPY"']),
        }

    def reach(self, storage, key):
        """Return the block that leads to the backup ``key`` in a storage of the
        engine."""
        by_hand = storage.by_hand()
        lines = [*by_hand.lines(), f"NAME={quote(key)}"]
        if by_hand.is_addressed:
            return _text([*lines, f'BACKUP={quote(storage.location(""))}"$NAME"'])
        fetched = self._fetch() if by_hand.fetch else []
        return _text([*lines, *fetched, 'BACKUP="files/$NAME"'])

    def _settings(self):
        yield f"export ODOO_RC={quote(self.conf)}"
        yield f"DATA_DIR={quote(self.data_dir)}"
        yield f"DATABASE={quote(self.database)}"
        yield 'COPY="${DATABASE}_copy"'
        if self.has_addons:
            yield f"ADDONS={ADDONS_FOLDER}"
        if self.encryption == "recipients":
            yield "read -rp 'KEY_FILE: ' KEY_FILE"

    def _fetch(self):
        yield "mkdir -p files"
        yield "STEM=${NAME%.age}; STEM=${STEM%.zip}"
        yield 'fetch "$NAME"; fetch "$STEM.json"'
        if self.incremental:
            yield f'for p in {PACKS}; do fetch "$p"; done'
        yield f"""jq -r '{SUMS}' "files/$STEM.json" | sha256sum -c --quiet"""

    def _decrypt(self):
        if self.encryption != "none":
            key = ' -i "$KEY_FILE"' if self.encryption == "recipients" else ""
            command = f'age -d{key} -o "${{f%.age}}" "$f"'
            yield f"for f in files/*.age; do {command}; done"

    def _with_addon(self, target, how):
        addons = ' --addons "$ADDONS"' if self.has_addons else ""
        to = f'--to "${target}"{how}{self._identity()}{addons}'
        return f'odoo backup restore "$BACKUP" {to}'

    def _identity(self):
        return ' --identity "$KEY_FILE"' if self.encryption == "recipients" else ""

    def _with_odoo(self, target, how):
        if not self.incremental:
            return f'odoo db load{how} "${target}" "files/$STEM.zip"'
        whole = f'"${target}.zip"'
        export = f'odoo backup export "$BACKUP" --to {whole}{self._identity()}'
        return _text([export, f'odoo db load{how} "${target}" {whole}'])

    def _by_hand(self, target):
        yield "OUT=$(mktemp -d -p .)"
        if self.incremental:
            unpack = 'unzip -qn "files/${p%.age}" -d "$OUT"'
            yield f"for p in {PACKS}; do {unpack}; done"
        yield 'unzip -qn "files/$STEM.zip" -d "$OUT"'
        yield f'createdb -T template0 -E UTF8 "${target}"'
        dump = '"$OUT"/d*.sql' if self.incremental else '"$OUT/dump.sql"'
        yield f'psql -X -q -1 -v ON_ERROR_STOP=1 -d "${target}" -f {dump}'
        if self.has_files:
            yield 'mkdir -p "$DATA_DIR/filestore"'
            yield f'mv "$OUT/filestore" "$DATA_DIR/filestore/${target}"'


def _text(lines):
    return "\n".join(lines)
