"""The learned LoRA: safetensors under peft's names, with the recipe that learned it as JSON in the metadata.

Recipe: the asset's receipt. LoRA: Hu et al. 2021 (arXiv 2106.09685); the file is what `safetensors` and peft read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from studio.errors import StudioError
from studio.exporters import Asset, Exporter


@dataclass(frozen=True)
class LoRA(Exporter):
    """One file with the adapter's tensors; its metadata has `format` ("pt") and `recipe` (JSON)."""

    suffix: ClassVar[str] = ".safetensors"
    needs_lora: ClassVar[bool] = True

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write one file. Raises StudioError when the asset has no LoRA."""
        from safetensors.torch import save

        from studio import files

        if not asset.lora:
            raise StudioError("No LoRA was learned, so there is none to write.", "Use a trainer that learns one: lora_reward.")
        recipe = json.dumps(files.jsonable(asset.receipt), ensure_ascii=False, sort_keys=True)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(asset.lora.items())}
        return [files.write_bytes(path, save(tensors, {"format": "pt", "recipe": recipe}))]
