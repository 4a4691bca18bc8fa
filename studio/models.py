"""`studio models`: weights of others that the studio can use, what they are, and fetching them when the user says so.

Every model is pinned to a revision. Nothing is fetched before its size, its need of memory and its licence were shown and agreed
to; what was interrupted goes on where it stopped. Generators and critics only look into the folder that this fills.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from studio import resources
from studio.errors import StudioError, unknown

NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>\w+)")
REVISION = re.compile(r"[0-9a-f]{40}")
KINDS = (".json", ".txt", ".safetensors")
"""Files of a model that is not listed here which are fetched; never any that could hold code."""
OPENRAIL = "CreativeML Open RAIL-M (uses restricted; commercial use allowed)"
OPENAI = "MIT for its code, the weights' page states none"


@dataclass(frozen=True)
class Source:
    """Files of one repository."""

    repository: str
    revision: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """What can be fetched under one name."""

    about: str
    licence: str
    download_gb: float
    memory_gb: float
    sources: tuple[Source, ...]
    by_hand: tuple[str, ...] = ()
    """Files that are not fetched, because no hub has them or no revision of them is known for sure: from where."""

    def files(self) -> list[str]:
        """What its folder holds when it is whole."""
        return [file for source in self.sources for file in source.files] + [line.rsplit("/", 1)[-1] for line in self.by_hand]


_TOKENIZER = ("merges.txt", "special_tokens_map.json", "tokenizer_config.json", "vocab.json")
_CLIP_L = ("openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41")
_CLIP_H = ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "1c2b8495b28150b8a4922ee1c8edee224c284c0c")
KNOWN = {
    "sd15": Model(
        "Stable Diffusion 1.5 in half precision, for the generator stable_diffusion",
        OPENRAIL,
        2.1,
        8.0,
        (
            Source(
                "stable-diffusion-v1-5/stable-diffusion-v1-5",
                "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
                (
                    "model_index.json",
                    "scheduler/scheduler_config.json",
                    *(f"tokenizer/{name}" for name in _TOKENIZER),
                    "text_encoder/config.json",
                    "text_encoder/model.fp16.safetensors",
                    "unet/config.json",
                    "unet/diffusion_pytorch_model.fp16.safetensors",
                    "vae/config.json",
                    "vae/diffusion_pytorch_model.fp16.safetensors",
                ),
            ),
        ),
    ),
    "sd15-depth": Model(
        "ControlNet 1.1 for depth, which Stable Diffusion 1.5 needs to follow the shape",
        OPENRAIL,
        0.7,
        0.8,
        (
            Source(
                "lllyasviel/control_v11f1p_sd15_depth",
                "539f99181d33db39cf1af2e517cd8056785f0a87",
                ("config.json", "diffusion_pytorch_model.fp16.safetensors"),
            ),
        ),
    ),
    "sd15-depth-inpaint": Model(
        "The paper's ControlNet for depth-aware inpainting, for mode sequential; by hand: its files were not seen",
        "none stated by its author",
        1.4,
        0.8,
        (),
        tuple(
            f"huggingface.co/ashawkey/control_v11e_sd15_depth_aware_inpaint/{name}"
            for name in ("config.json", "diffusion_pytorch_model.safetensors")
        ),
    ),
    "clip_score": Model(
        "CLIP ViT-L/14, the critic clip_score",
        OPENAI,
        1.7,
        2.5,
        (Source(*_CLIP_L, ("config.json", "model.safetensors", *_TOKENIZER)),),
    ),
    "aesthetic": Model(
        "LAION's aesthetic predictor on CLIP ViT-L/14, the critic aesthetic",
        f"Apache 2.0; of CLIP: {OPENAI}",
        1.7,
        2.5,
        (Source(*_CLIP_L, ("config.json", "model.safetensors", *_TOKENIZER)),),
        ("github.com/christophschuhmann/improved-aesthetic-predictor/sac+logos+ava1-l14-linearMSE.pth",),
    ),
    "pickscore": Model(
        "PickScore v1, the critic pickscore",
        "none stated by its authors; the CLIP it was made from is MIT",
        3.9,
        5.0,
        (
            Source(
                "yuvalkirstain/PickScore_v1", "a4e4367c6dfa7288a00c550414478f865b875800", ("config.json", "model.safetensors")
            ),
            Source(*_CLIP_H, _TOKENIZER),
        ),
    ),
    "hps": Model(
        "Human Preference Score v2.1, the critic hps",
        "Apache 2.0",
        2.0,
        5.0,
        (
            Source("xswu/HPSv2", "697403c78157020a1ae59d23f111aa58ced35b0a", ("HPS_v2.1_compressed.pt",)),
            Source(*_CLIP_H, ("config.json", *_TOKENIZER)),
        ),
    ),
    "image_reward": Model(
        "ImageReward v1.0, the critic image_reward",
        "Apache 2.0",
        1.8,
        2.5,
        (
            Source(
                "THUDM/ImageReward", "5736be03b2652728fb87788c9797b0570450ab72", ("ImageReward.pt", "med_config.json")
            ),
            Source("google-bert/bert-base-uncased", "86b5e0934494bd15c9632b12f734a8a67f723594", ("vocab.txt",)),
        ),
    ),
}  # fmt: skip


def models(
    action: Annotated[Literal["list", "fetch"], Positional] = "list",
    names: Annotated[tuple[str, ...], Positional, arg(metavar="NAME")] = (),
    *,
    yes: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
) -> int:
    """List the weights of others that the studio can use, or fetch some of them.

    Args:
        action: list, or fetch.
        names: Models of the list, or any other as OWNER/MODEL@REVISION.
        yes: Agree to size and licence without being asked.
    """
    if action == "list":
        print("\n".join(listed()))
        return 0
    if not names:
        raise StudioError("Nothing to fetch was named.", f"Name some of {', '.join(KNOWN)}, or OWNER/MODEL@REVISION.")
    for name in names:
        fetch(name, agree=(lambda: True) if yes else _agree)
    return 0


def listed() -> list[str]:
    """Each model in three lines: its name and state, what it is, and what it costs."""
    lines = []
    for name, model in KNOWN.items():
        cost = f"{model.download_gb:g} GB to fetch, {model.memory_gb:g} GB of memory, licence: {model.licence}"
        lines += [f"{name:<20}{state(name)}", f"  {model.about}", f"  {cost}"]
    return [*lines, f"They are kept in {resources.models_dir()}"]


def state(name: str) -> str:
    """Whether a model of the list is on this machine, in words."""
    files, folder = KNOWN[name].files(), resources.model_dir(name)
    missing = [file for file in files if not (folder / file).is_file()]
    if not missing:
        return "here"
    return "not here" if len(missing) == len(files) else f"partly here: {missing[0]} is missing"


def fetch(name: str, *, agree: Callable[[], bool], endpoint: str | None = None) -> None:
    """Fetch a model into its folder once the user agrees. Raises StudioError where it cannot be had, or is not agreed to."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        raise StudioError("Nothing can be fetched while HF_HUB_OFFLINE is set.", "Unset it, or copy the files from elsewhere.")
    folder, api = resources.model_dir(name), HfApi(endpoint=endpoint)
    try:
        model = KNOWN[name] if name in KNOWN else _other(name, api)
        sizes = [_size(source, api) for source in model.sources]
        origin = ", ".join(s.repository for s in model.sources) or "nowhere: its files are to be got by hand"
        print(f"{name}: {model.about}\n  {sum(sizes) / 1e9:.1f} GB from {origin}")
        print(f"  about {model.memory_gb:g} GB of memory when used\n  licence: {model.licence}\n  into {folder}")
        if not agree():
            raise StudioError(f"'{name}' was not fetched.", "Agree when asked, or give --yes.")
        for source in model.sources:
            snapshot_download(
                source.repository,
                revision=source.revision,
                allow_patterns=list(source.files),
                local_dir=folder,
                endpoint=endpoint,
            )
    except (HfHubHTTPError, OSError) as error:
        problem = f"'{name}' could not be fetched: {(str(error).splitlines() or ['no answer'])[0]}"
        raise StudioError(problem, "Look at the network and try again; what is there already is not fetched twice.") from error
    for line in model.by_hand:
        if not (folder / line.rsplit("/", 1)[-1]).is_file():
            print(f"  To be got by hand: {line}, put it into {folder}")


def _other(name: str, api: object) -> Model:
    """A model that is not listed, as its repository tells of it: its smallest whole set of files that hold no code."""
    found = NAME.fullmatch(name)
    if found is None:
        raise unknown("model", name, [*KNOWN, "OWNER/MODEL@REVISION"])
    if not REVISION.fullmatch(found["revision"]):
        problem = f"'{name}' is not pinned: tomorrow it could be another model."
        raise StudioError(problem, f"Write {found['repository']}@ and the 40 digits of a commit.")
    told = api.model_info(found["repository"], revision=found["revision"], files_metadata=True)  # type: ignore[attr-defined]
    names = {s.rfilename: s.size or 0 for s in told.siblings or [] if s.rfilename.endswith(KINDS)}
    halved = {n.replace(".fp16.", ".") for n in names if ".fp16." in n}
    single = {n for n in names if "/" not in n and n.endswith(".safetensors")} if "model_index.json" in names else set()
    chosen = {n: size for n, size in names.items() if n not in halved | single}
    licence = (told.card_data or {}).get("license") or "none stated"
    source = Source(found["repository"], found["revision"], tuple(sorted(chosen)))
    total = sum(chosen.values()) / 1e9
    return Model(
        "not known to the studio: look at its page first", str(licence), round(total, 1), round(1.3 * total, 1), (source,)
    )


def _size(source: Source, api: object) -> int:
    """Bytes of its files, as the hub has them. Raises StudioError where one is missing."""
    told = api.model_info(source.repository, revision=source.revision, files_metadata=True)  # type: ignore[attr-defined]
    sizes = {s.rfilename: s.size or 0 for s in told.siblings or []}
    if missing := [file for file in source.files if file not in sizes]:
        raise StudioError(f"{source.repository} has no {missing[0]}.", "Give a revision that has it.")
    return sum(sizes[file] for file in source.files)


def _agree() -> bool:
    """Asks; no answer is none."""
    if not sys.stdin or not sys.stdin.isatty() or os.environ.get("CI"):
        return False
    return input("  Fetch it? [y/N] ").strip().lower() in ("y", "yes")
