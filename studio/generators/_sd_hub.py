"""Models of a hub that were fetched earlier, pinned to a revision: name@revision. Looked up without any network."""

from __future__ import annotations

import re
from pathlib import Path

from studio.errors import StudioError

NAME = re.compile(r"[\w.-]+/[\w.-]+")
REVISION = re.compile(r"[0-9a-f]{40}")


def parted(name: str) -> tuple[str, str] | None:
    """("owner/model", revision) of such a name; None for anything else. Raises StudioError where the revision is none."""
    model, _, revision = name.partition("@")
    if not NAME.fullmatch(model) or Path(name).suffix in (".safetensors", ".ckpt"):
        return None
    if not REVISION.fullmatch(revision):
        problem = f"'{name}' names no revision: tomorrow it could be another model."
        raise StudioError(problem, f"Write {model}@ and the 40 digits of a commit.")
    return model, revision


def here(name: str) -> Path:
    """The folder of a model that was fetched. Raises StudioError where it was not, or where it is no such name."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    found = parted(name)
    if found is None:
        raise StudioError(f"There is no folder or file '{name}'.", "Give the folder or the checkpoint with the model's weights.")
    try:
        return Path(snapshot_download(found[0], revision=found[1], local_files_only=True))
    except (LocalEntryNotFoundError, OSError) as error:
        problem = f"The model '{found[0]}' is not on this machine."
        raise StudioError(problem, f"Fetch it with `studio models fetch {name}`, which first says how large it is.") from error
