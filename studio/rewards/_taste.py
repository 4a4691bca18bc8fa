"""A taste: which of two textures somebody would pick, from the features of their pictures (Bradley and Terry 1952)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from studio.critics import Eye
from studio.errors import StudioError
from studio.preferences import DOUBTFUL, FEWEST_FOR_TASTE, Pick, Picks, all_homes

FOLDS = 5
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""How much a pick has to say to move the weights: the one that predicts left-out picks best is taken."""
STEPS = 30


def folders(given: str) -> list[Path]:
    """Where the picks lie."""
    if given:
        return [Path(given)]
    home = all_homes()
    return sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else []


def enough(places: Sequence[Path]) -> list[tuple[Picks, list[Pick]]]:
    """The picks by hand of each folder, or a score's where there are none. Raises StudioError when they are too few."""
    found = [(picks, picks.yours()) for picks in map(Picks, places)]
    count = sum(len(those) for _, those in found)
    if count < FEWEST_FOR_TASTE:
        problem = f"You have made {count} pick{'s' * (count != 1)}; a taste cannot be read from fewer than {FEWEST_FOR_TASTE}."
        raise StudioError(problem, "Pick between more pairs, or give the folder of picks that were made elsewhere.")
    return [(picks, those) for picks, those in found if those]


class Taste:
    """Weights [D] on an eye's features, fitted to all picks; `accuracy` is that on picks that were left out (5-fold)."""

    def __init__(self, eye: Eye, places: Sequence[Path], device: torch.device) -> None:
        """Raises StudioError when there are too few picks."""
        rows, means = [], []
        for picks, those in enough(places):
            seen: dict[str, Tensor] = {}
            for key in dict.fromkeys(key for pick in those for key in (pick.better, pick.worse)):
                with torch.no_grad():
                    seen[key] = eye.features(picks.pictures(key).to(device).float() / 255).double().mean(0).cpu()
            rows += [seen[pick.better] - seen[pick.worse] for pick in those]
            means += list(seen.values())
        self._centre = torch.stack(means).mean(0)
        apart = torch.stack(rows)
        self._scale = float(apart.norm(dim=1).mean().clamp_min(1e-9))
        apart = apart / self._scale
        self.accuracy, ridge = max((*_left_out(apart, ridge), ridge) for ridge in RIDGES)[1:]
        self._weights = fitted(apart, ridge)
        share = f"It agrees with {self.accuracy:.0%} of those it was not fitted to"
        little = "little" if self.accuracy > 0.5 else "no"
        doubt = f", {little} better than tossing a coin: pick more before you trust it." if self.accuracy < DOUBTFUL else "."
        self.notes = (f"Your taste is read from {len(apart)} picks. {share}{doubt}",)

    def __call__(self, features: Tensor) -> Tensor:
        """[N, D] → log-odds [N] against the average of the textures that were shown."""
        weights = (self._weights / self._scale).to(features)
        return (features - self._centre.to(features)) @ weights


def fitted(apart: Tensor, ridge: float) -> Tensor:
    """The weights w [D] that make mean −log σ(apart · w) + ridge/2 · |w|² least, for differences apart [n, D]: Newton's method in
    the span of the differences."""
    _, _, basis = torch.linalg.svd(apart, full_matrices=False)
    low = apart @ basis.T
    weights = torch.zeros(low.shape[1], dtype=low.dtype)
    for _ in range(STEPS):
        p = torch.sigmoid(low @ weights)
        slope = -(low.T @ (1 - p)) / len(low) + ridge * weights
        bend = (low.T * (p * (1 - p))) @ low / len(low) + ridge * torch.eye(len(weights), dtype=low.dtype)
        weights = weights - torch.linalg.solve(bend, slope)
    return basis.T @ weights


def _left_out(apart: Tensor, ridge: float) -> tuple[float, float]:
    """(mean log-likelihood, accuracy) of picks that the weights were not fitted to."""
    fold = torch.arange(len(apart)) % FOLDS
    odds = torch.cat([apart[fold == k] @ fitted(apart[fold != k], ridge) for k in range(FOLDS)])
    right = (odds > 0).double() + 0.5 * (odds == 0).double()
    return float(F.logsigmoid(odds).mean()), float(right.mean())
