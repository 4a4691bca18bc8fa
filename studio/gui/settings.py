"""What the window remembers between two starts: sizes, scale, how the mouse navigates. Never anything of the user's work."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from studio import files, resources
from studio.errors import OutputError


@dataclass(frozen=True)
class Settings:
    """Lengths are in unscaled pixels, but for the window's own size."""

    scale: float = 0.0
    """UI scale; 0 takes the display's own."""
    width: int = 0
    height: int = 0
    """Of the window, in pixels; 0 before the first start."""
    left: int = 320
    right: int = 328
    bottom: int = 200
    navigation: str = "default"

    @staticmethod
    def path() -> Path:
        """The file it is kept in."""
        return resources.config_dir() / "window.json"

    @classmethod
    def read(cls) -> Settings:
        """The kept settings; the defaults for whatever is missing or makes no sense."""
        settings = cls()
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(cls.path().read_text(encoding="utf-8"))
            for f in fields(cls):
                value, kind = kept.get(f.name), type(getattr(settings, f.name))
                if isinstance(value, kind) and not (kind is not str and kind is not bool and not 0 <= value <= 20_000):
                    settings = replace(settings, **{f.name: value})
        return settings

    def write(self) -> None:
        """Keep them; a place that cannot be written costs nothing but the memory."""
        with contextlib.suppress(OSError, OutputError):
            self.path().parent.mkdir(parents=True, exist_ok=True)
            files.write_json(self.path(), asdict(self))

    def changed(self, **values: Any) -> Settings:
        """A copy with these values."""
        return replace(self, **values)
