"""The commands of `studio`, listed in `main`; `studio` alone, or with a mesh or project: the window."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

from studio.errors import StudioError
from studio.models import models

if TYPE_CHECKING:
    from studio.config import Config
    from studio.job import Outcome, Outputs
    from studio.plug import Socket
    from studio.surface.mesh import Mesh

USER_ERROR = 2
"""Exit code of a mistake the user can mend; a run stopped by a signal ends with 128 + its number."""

DEMO_PRESET = "demo"
DEMO_MESH = "vase"


def _option(metavar: str) -> Any:
    """An option whose help needs no word on its default."""
    return arg(metavar=metavar, help_behavior_hint="")


def bake(
    mesh: Annotated[Path, Positional, arg(metavar="MESH")],
    prompt: Annotated[str | None, Positional, _option("PROMPT")] = None,
    *,
    out: Annotated[Path, arg(metavar="X.glb")],
    preset: Annotated[str | None, _option("P")] = None,
    trainer: Annotated[str | None, _option("T")] = None,
    iterations: Annotated[str | None, _option("N")] = None,
    seed: Annotated[str | None, _option("S")] = None,
    atlas: Annotated[str | None, _option("PX")] = None,
    reward: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], _option("NAME=WEIGHT ...")] = (),
    region: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], _option("[REWARD=]PNG ...")] = (),
    lock: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], _option("PNG ...")] = (),
    angle_mask_deg: Annotated[str | None, _option("DEG")] = None,
    reward_chunk: Annotated[str | None, _option("N")] = None,
    lora: Annotated[UseAppendAction[tuple[str, ...]], _option("FILE=SCALE")] = (),
    report: Annotated[Path | None, _option("R.json")] = None,
    sheet: Annotated[Path | None, _option("S.png")] = None,
    project: Annotated[Path | None, _option("P.patina")] = None,
    log: Annotated[Path | None, _option("TB_DIR")] = None,
    resume: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
    unwrap: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
    device: Annotated[str | None, _option("D")] = None,
    renderer: Annotated[str | None, _option("R")] = None,
    generator: Annotated[str | None, _option("G")] = None,
    model: Annotated[str | None, _option("M")] = None,
    control: Annotated[str | None, _option("M")] = None,
) -> int:
    """Texture a mesh from a prompt.

    Args:
        mesh: The mesh: GLB, glTF, OBJ, PLY or STL. Your file is never changed. Or a project saved by the window.
        prompt: What its surface should look like; a project has its own.
        out: The textured mesh; the suffix chooses the format.
        preset: A preset's name (see `studio plugs`) or your own TOML file; the other options override it.
        trainer: How to learn: lora_reward, nabla_db, preference, texture_direct, or sample to learn nothing.
        iterations: Learning steps.
        seed: Which of the generator's variations to paint.
        atlas: Side of the texture in pixels, 256 to 4096.
        reward: Rewards to learn from, with weights: symmetry=1 palette=0.5. A weight of 0 only watches.
        region: Grey pictures on the texture, one or one per texture set: where all rewards push, or one of them.
        lock: Grey pictures on the texture: what is white in them stays as the mesh has it, bit for bit.
        angle_mask_deg: Push only texels that a view sees at most so far from their normal.
        reward_chunk: Views that picture rewards see at a time; fewer need less memory.
        lora: A LoRA file to use, and how much it counts, 0 to 1; give the option again for more of them.
        report: Write the run's numbers as JSON.
        sheet: Write a contact sheet of the result as PNG.
        project: Write a project that the window opens, with texture, LoRA and curves.
        log: Write TensorBoard logs into this folder.
        resume: Continue the unfinished run whose checkpoint lies beside the output.
        unwrap: Lay out new UVs even where the mesh has usable ones.
        device: Where to compute: auto, cpu, cuda, cuda:1 or mps.
        renderer: What draws: auto, embree or nvdiffrast.
        generator: What paints: mini, or another of `studio plugs`.
        model: A generator's own weights: a folder, a checkpoint file, or a model of `studio models`.
        control: Likewise its ControlNet, where the model has none.
    """
    from studio import options
    from studio.config import parse
    from studio.config import preset as load_preset
    from studio.document import with_lora
    from studio.job import Outputs
    from studio.project import SUFFIX, opened
    from studio.project import load as load_project

    regions = options.masks([item for group in region for item in group])
    # Numbers arrive as text: what is wrong with them is said in one place, the same way for options and presets.
    chosen = {
        "prompt": prompt,
        "trainer": trainer,
        "iterations": iterations,
        "seed": seed,
        "atlas_px": atlas,
        "rewards": options.reward_tables(options.weights([item for group in reward for item in group]), regions),
        "region": regions.get(""),
        "lock": options.files([item for group in lock for item in group]) or None,
        "angle_mask_deg": angle_mask_deg,
        "reward_chunk": reward_chunk,
        "unwrap": unwrap or None,
        "device": device,
        "renderer": renderer,
        "generator": options.generator(generator, model, control),
    }
    table = load_preset(preset) if preset else {}
    if mesh.suffix.lower() == SUFFIX:
        project_in = load_project(mesh)
        target, base = opened(project_in), parse(table, base=project_in.document.config)
    elif prompt is None and "prompt" not in table:
        raise StudioError(
            "The prompt is missing.", 'Say what the surface should look like: `studio bake MESH "PROMPT" --out X.glb`.'
        )
    else:
        # Without a preset nothing is learned, unless an option speaks of learning.
        learns = reward or iterations not in (None, "0")
        target, base = mesh, parse(table or {"trainer": "lora_reward" if learns else "sample"})
    config = parse({name: value for name, value in chosen.items() if value is not None and value != {}}, base=base)
    for file, scale in options.loras(lora):
        config = with_lora(config, file, scale=scale)
    return _work(config, target, Outputs(out, report=report, sheet=sheet, log=log, project=project), resume=resume)


def demo(
    *,
    out: Annotated[Path, arg(metavar="DIR")] = Path("patina-demo"),
    resume: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
    terminal: Annotated[bool, FlagCreatePairsOff, arg(help_behavior_hint="")] = False,
) -> int:
    """Texture a bundled mesh, learn from rewards while doing so, and show what the learning gained.

    In the window where there is a display, else in the terminal.

    Args:
        out: The folder for the textured GLB, the contact sheet and the report; it is made when missing.
        resume: Continue an unfinished demo, in the terminal.
        terminal: Stay in the terminal where there is a display.
    """
    from studio import gui, resources
    from studio.config import parse, preset
    from studio.errors import OutputError
    from studio.job import Outputs

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder '{out}' cannot be made: {error.strerror}.", "Choose another one with --out.") from error
    config = parse(preset(DEMO_PRESET))
    outputs = Outputs(out / f"{DEMO_MESH}.glb", report=out / "report.json", sheet=out / "sheet.png")
    mesh = resources.sample(DEMO_MESH)
    if resume or terminal or gui.why_not():
        return _work(config, mesh, outputs, resume=resume)
    outputs.check(mesh)
    return gui.open_window(errand=(mesh, config, outputs))


def doctor(mesh: Annotated[Path | None, Positional, _option("MESH")] = None) -> int:
    """Say what this machine offers and how to cure what is missing; with a mesh, report on its health.

    Args:
        mesh: A mesh to examine as well.
    """
    from studio.console import table
    from studio.doctor import examine, examine_mesh

    table(examine())
    if mesh is not None:
        print(f"\n{mesh}")
        table(examine_mesh(mesh))
    return 0


def confirm(file: Annotated[Path, Positional, arg(metavar="PY")], *, yes: Annotated[bool, FlagCreatePairsOff] = False) -> int:
    """Let a score of your own, or of somebody you trust, run on this machine: these very bytes in this very place.

    Args:
        file: A Python file with a function score(pictures, texture).
        yes: Do not ask.
    """
    from studio.console import confirmed

    return int(not confirmed(file, asked=not yes))


def plugs() -> int:
    """List what can be chosen: generators, trainers, rewards, critics, renderers, exporters, presets and sample meshes."""
    from studio import critics, exporters, generators, renderers, resources, rewards, trainers
    from studio.config import preset, preset_names
    from studio.console import listed

    for folder in (generators, trainers, rewards, critics, renderers, exporters):
        socket: Socket[Any] = folder.SOCKET
        listed(f"{socket.kind}s", {name: _described(socket, name) for name in socket.names()})
    listed("presets", {name: preset(name).get("description", "") for name in preset_names()})
    listed("sample meshes", {name: str(resources.sample(name)) for name in resources.sample_names()})
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. A user's mistake becomes two sentences and exit code 2."""
    from studio import material_commands as materials
    from studio.console import say, survive_any_encoding

    survive_any_encoding()
    # Read when torch is loaded. Threads that spin at barriers are many times slower as soon as any other program wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    own = {"bake": bake, "demo": demo, "confirm": confirm, "models": models, "doctor": doctor, "plugs": plugs}
    commands = {**own, **materials.COMMANDS}
    try:
        if len(arguments) < 2 and not (arguments and (arguments[0] in commands or arguments[0].startswith("-"))):
            from studio.gui import open_window

            open_window(_file(arguments[0], commands) if arguments else None)
        about = "Patina Studio textures 3D meshes from a prompt, with rewards that tune the model while it paints."
        return tyro.extras.subcommand_cli_from_dict(commands, prog="studio", description=about, args=arguments)
    except StudioError as error:
        say(error)
        return USER_ERROR
    except KeyboardInterrupt:
        return 130


def _file(name: str, known: Iterable[str]) -> Path:
    """What a window is asked to open. Raises StudioError when it is neither a file nor a command."""
    path = Path(name)
    if not path.exists():
        problem = f"'{name}' is neither a file nor a command."
        raise StudioError(problem, f"Give a mesh or a project to open, or one of: {', '.join(known)}.")
    return path


def _work(config: Config, mesh: Path | Mesh, outputs: Outputs, *, resume: bool) -> int:
    """Run with a progress line; Ctrl-C and SIGTERM save what there is."""
    from studio import gain
    from studio.console import Interruption, ProgressLine
    from studio.job import Outcome, work

    line = ProgressLine()
    try:
        with Interruption(lambda: line.note("Stopping: what there is will be saved. Press again to stop at once.")) as heard:
            outcome = work(config, mesh, outputs, resume=resume, show=line.show, stop=lambda: heard.signal is not None)
    except StudioError:
        if heard.signal is None:
            raise
        outcome = Outcome(())  # a terminal's Ctrl-C reaches the studio's own processes too, such as the unwrapper
    finally:
        line.close()
    for path in outcome.written:
        print(path)
    if outcome.result is None:
        return _stopped(outcome, heard.signal)
    better = gain.of_report(outcome.result.report, config.weights())
    if better:
        print(
            f"Learning gained {better.mean:+.4f} over {better.seeds} held-out seeds (95 % bound {better.low:+.4f}), "
            f"{better.share:.1f} standard deviations of the untrained seeds."
        )
    return 0


def _stopped(outcome: Outcome, number: int | None) -> int:
    if outcome.written:
        print("Stopped; give the same command with --resume to continue.", file=sys.stderr)
    else:
        print("Stopped before there was anything to save.", file=sys.stderr)
    return 128 + (number or 0)


def _described(socket: Socket[Any], name: str) -> str:
    """A plug in one line: what it is, and why it cannot run here if so."""
    reason = socket.why_not(name)
    if name not in socket.working():
        return f"(not here: {reason})"
    plug = socket.load(name)
    said = getattr(plug, "when", None) or getattr(plug, "description", None) or (plug.__doc__ or name).strip().splitlines()[0]
    return f"{said} (not here: {reason})" if reason else said


if __name__ == "__main__":
    sys.exit(main())
