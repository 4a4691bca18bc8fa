"""Changes to sets of pictures, as a user's editor makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio import captures

Change = Callable[[dict[str, Any]], Any]


def edited(folder: Path, change: Change) -> None:
    """Rewrite the set's own file with the change made."""
    path = folder / captures.OWN_FILE
    tree = json.loads(path.read_text(encoding="utf-8"))
    change(tree)
    path.write_text(json.dumps(tree), encoding="utf-8")
