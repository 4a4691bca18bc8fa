"""Where the bundled critics' weights lie; light, so that lists can say whether they are there."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data"


def missing(name: str) -> str | None:
    """Why the bundled critic of this name cannot be built, in a sentence; None when its weights are there."""
    there = (DATA / name / "weights.safetensors").is_file()
    return None if there else "this version of the studio ships no weights for it yet."
