"""Patina Studio: textures for 3D meshes, painted from a prompt by a multi-view diffusion model that rewards tune.

`studio.run(config, mesh)` is the whole studio: an iterator of `Progress`, whose last one holds the `Result`. Importing the
package is cheap; everything else is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.config import Config
    from studio.run import run
    from studio.surface.mesh import load

__version__ = "0.7.0"
__all__ = ["Config", "__version__", "load", "run"]

_HOMES = {"Config": "studio.config", "load": "studio.surface.mesh"}


class _Callable(types.ModuleType):
    """The type of the module `studio.run`: calling it calls its function `run`, so that one name serves both."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(*args, **kwargs)


class _Package(types.ModuleType):
    """The type of this package: a submodule is bound to it on import, and that is where `run` becomes callable."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "run" and type(value) is types.ModuleType:
            value.__class__ = _Callable
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name == "run":
        return importlib.import_module("studio.run")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'studio' has no attribute '{name}'")


sys.modules[__name__].__class__ = _Package
