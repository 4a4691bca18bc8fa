"""What the window asks of the operating system: the display's scale and files dropped on it. Quietly absent where it is not given."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.gui.app import App

_kept: list[Any] = []  # callbacks that foreign code holds must not be collected
