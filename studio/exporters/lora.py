"""The learned LoRA as a file of its own: safetensors as peft and diffusers read it (`studio.lora` says what else is in it)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from studio.errors import StudioError
from studio.exporters import Asset, Exporter


@dataclass(frozen=True)
class LoRA(Exporter):
    """One file with the adapter's tensors, what it was made for, its recipe and its scores."""

    suffix: ClassVar[str] = ".safetensors"
    needs_lora: ClassVar[bool] = True

    def write(self, asset: Asset, path: Path) -> list[Path]:
        """Write one file. Raises StudioError when the asset has no LoRA."""
        from studio import files, lora

        if not asset.lora:
            raise StudioError("No LoRA was learned, so there is none to write.", "Use a trainer that learns one: lora_reward.")
        return [files.write_bytes(path, lora.encoded(asset.lora, asset.receipt))]
