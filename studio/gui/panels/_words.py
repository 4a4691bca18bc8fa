"""Numbers and names as the window says them: with units, short, and of steady width. Nothing here needs a screen."""

from __future__ import annotations

import itertools
from collections.abc import Callable

NAMES = {
    "uv_checker": "UV checker", "lora_reward": "LoRA reward", "nabla_db": "Nabla DB", "dso": "DSO", "mean_curvature": "Curvature",
    "opengl": "OpenGL", "opencv": "OpenCV", "opencv_inverse": "OpenCV, inverse", "opencv_z_up": "OpenCV, z up",
}  # fmt: skip
STATES = {
    "idle": "Ready",
    "preparing": "Preparing",
    "running": "Running",
    "paused": "Paused",
    "stopping": "Stopping",
    "done": "Done",
    "failed": "Failed",
}


def named(name: str) -> str:
    """A channel, environment or reward as people say it: "base_color" is "Base color"."""
    return NAMES.get(name, name.replace("_", " ").capitalize())


def counted(count: int, noun: str) -> str:
    """ "1 pick", "2,300 picks"."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def duration(seconds: float) -> str:
    """ "45 s", "2 min 05 s", "1 h 12 min"."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def pace(per_second: float) -> str:
    """Iterations per second, or the seconds one takes where it takes more than one: "2.4 it/s", "3.1 s/it"."""
    if per_second <= 0:
        return ""
    return f"{per_second:.1f} it/s" if per_second >= 1 else f"{1 / per_second:.1f} s/it"


def memory(used: int, total: int) -> str:
    """ "1.6 / 15.5 GiB"; an empty string when it is not known."""
    if total <= 0:
        return f"{used / 2**30:.1f} GiB" if used > 0 else ""
    return f"{used / 2**30:.1f} / {total / 2**30:.1f} GiB"


def exposure(ev: float) -> str:
    """ "+0.5 EV"."""
    return f"{ev:+.1f} EV"


def number(value: float) -> str:
    """Three digits that matter: "0.713", "12.4", "0.0021"; tiny and huge ones with a power of ten."""
    size = abs(value)
    if size >= 1e4 or 0 < size < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    return (f"{value:.3f}" if size < 10 else f"{value:.1f}").replace("-", "−")


def ticks(first: int, last: int, most: int) -> list[int]:
    """Whole numbers from `first` to `last` to write along an axis: at most so many, 1, 2 or 5 times a power of ten apart."""
    steps = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
    step = next(step for step in steps if last // step - (first - 1) // step <= max(1, most))
    return list(range(-(-first // step) * step, last + 1, step))


def fitted(text: str, room: float, measure: Callable[[str], float]) -> str:
    """`text`, or as much of its beginning as fits into `room` with an ellipsis; `measure` gives a text's width."""
    if measure(text) <= room:
        return text
    low, high = 0, len(text)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle].rstrip() + "…") <= room else (low, middle - 1)
    return text[:low].rstrip() + "…" if low else ""
