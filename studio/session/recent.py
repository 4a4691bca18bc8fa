"""The files that were opened last, newest first; those that are gone are left out."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import platformdirs

from studio import files, resources
from studio.errors import OutputError

MOST = 10


def recents() -> list[Path]:
    """At most MOST meshes and projects that still exist."""
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        paths = [Path(item) for item in found if isinstance(item, str)]
    except (OSError, ValueError, TypeError):
        return []
    present = []
    for path in paths:
        with contextlib.suppress(OSError):  # a name that is too long, a drive that is gone
            if path.is_file():
                present.append(path)
    return present[:MOST]


def remember(path: Path) -> None:
    """Put a file in front. A folder that cannot be written is no reason to fail."""
    path = path.absolute()
    others = [p for p in recents() if p != path]
    with contextlib.suppress(OutputError, OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        files.write_json(_path(), [str(p) for p in [path, *others][:MOST]])


def _path() -> Path:
    home = os.environ.get(resources.HOME_VARIABLE)
    folder = Path(home, "config") if home else platformdirs.user_config_path("patina-studio", appauthor=False)
    return folder / "recents.json"
