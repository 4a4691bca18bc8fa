"""The curves of a run that are no reward's, and what each of all curves says."""

from __future__ import annotations

from collections.abc import Iterable

from studio.gui.panels._words import named

SCORE = "score"
GAUGES = ("held_out", "accuracy", "judge", "drift", "kl", "saturation", "energy", "loss", "gradient")
"""Beside the score, in the order they are listed in."""
PROMPT = f"{SCORE}: "
"""Before the name of a further prompt: its score."""
_SAID = {
    SCORE: "All rewards together, each times its weight: what the run tries to raise.",
    "held_out": "The score of seeds that are never trained on.",
    "judge": "What a critic that nothing is trained on thinks of the lit texture, in standard deviations of the untrained ones. "
    "If it falls while the score rises, the run is fooling its rewards.",
    "drift": "How far the generator's predictions have moved from the untrained one's: their mean square.",
    "accuracy": "How many of the picks that are never learned from the generator now agrees with.",
    "kl": "How far whole chains of denoising have moved from the untrained generator's, in nats.",
    "loss": "What the learning makes small.",
    "saturation": "How colourful the lit texture is.",
    "energy": "How much of the lit texture is fine grain: the contrast between neighbouring pixels.",
    "gradient": "The length of the last step's gradient: a jump here means the learning is unsteady.",
}


def rewarding(names: Iterable[str]) -> list[str]:
    """The curves among these that are rewards', by name."""
    return sorted(n for n in names if n not in (SCORE, *GAUGES) and not n.startswith(PROMPT))


def about(name: str) -> str:
    """What a curve shows, in a sentence or two."""
    if name.startswith(PROMPT):
        return "How well the picture of this further prompt does, all rewards together."
    return _SAID.get(name, f"How well the texture does at {named(name).lower()}, before its weight.")
