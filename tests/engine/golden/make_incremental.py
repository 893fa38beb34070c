"""Make the golden incremental backups: see README.rst beside this.

    python make_incremental.py TARGET

Two backups that share packs, one file of the second is damaged.
"""

import json
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import conftest  # noqa: E402, F401
from packs_world import SHOP, MemoryStorage, Server  # noqa: E402

from dfr_backup.engine.encryption.secret_box import Key  # noqa: E402

KEYS = json.loads((HERE / "keys.json").read_text())
DUMP = b"""--
-- PostgreSQL database dump
--

-- Dumped from database version 15.14
-- Dumped by pg_dump version 15.14

CREATE TABLE public.res_partner (id integer, name text);

COPY public.res_partner (id, name) FROM stdin;
1\tGolden
3\tGr\xc3\xbc\xc3\x9fe
\\.

--
-- PostgreSQL database dump complete
--
"""
CONTENTS = [f"attachment {number}\n".encode() * number for number in range(1, 8)]


def main(target):
    target.mkdir(exist_ok=True)
    storage = MemoryStorage()
    key = Key(bytes.fromhex(KEYS["server_key"]))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(storage, Path(folder) / "5424c818", replace(SHOP), key)
        names = sorted(map(server.write, CONTENTS))
        server.backup(names[:6], DUMP)
        storage.now += timedelta(days=1)
        (server.root / names[6]).write_bytes(b"damaged\n")
        server.backup(names[1:], DUMP)
    for name, (data, _modified) in storage.objects.items():
        (target / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
