"""Light checkpoints: fp16 weights and their average, in files small enough to travel, from which training goes on elsewhere.

The optimiser's state stays behind; its learning rate rises anew. Files are replaced one after the other, the facts last, each
under the step's number, so an interrupted save leaves the former checkpoint whole.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from studio.errors import StudioError
from studio.generators._weights import halved, restored, shards


def save(folder: Path, states: dict[str, dict[str, Tensor]], facts: dict[str, Any]) -> None:
    """Write the states by name, and the facts that go with them (`step` among them)."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {"facts.json"}
    for name, state in states.items():
        for i, part in enumerate(shards(halved(state))):
            file = f"{name}-{facts['step']}-{i + 1}.safetensors"
            save_file(part, folder / file)
            (folder / file).chmod(0o644)  # safetensors leaves it readable by its owner alone
            written.add(file)
    partial = folder / "facts.part"
    partial.write_text(json.dumps({**facts, "files": sorted(written - {"facts.json"})}, indent=1) + "\n")
    partial.replace(folder / "facts.json")
    for old in folder.iterdir():
        if old.name not in written:
            old.unlink()


def load(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """What `save` wrote, in fp32. Raises StudioError when files are missing or damaged."""
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        states: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for file in facts["files"]:
            if (name := file.rsplit("-", 2)[0]) in states:
                states[name].update(restored(load_file(folder / file)))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        problem = f"The light checkpoint in {folder} cannot be read: {error}."
        raise StudioError(problem, "Fetch all of its files again.") from error
    return states, facts


def known(rows: Tensor, fresh: Tensor, before: Sequence[str], now: Sequence[str]) -> Tensor:
    """Embeddings of the words `now`, the padding's first: rows of words that were known `before`, fresh ones for the others."""
    place = {w: i + 1 for i, w in enumerate(before)}
    out = fresh.detach().clone()
    out[0] = rows[0]
    pairs = [(i + 1, place[w]) for i, w in enumerate(now) if w in place]
    out[[i for i, _ in pairs]] = rows[[k for _, k in pairs]].to(out)
    return out
