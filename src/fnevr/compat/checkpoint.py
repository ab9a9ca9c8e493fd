"""Read and write the checkpoints of other projects: FNeVR's authors', FOMM's and the baselines'.

Theirs is a `torch.save` of a dict ``part -> state_dict``, beside optimizers and `epoch`, which are
left out; DaGAN has its depth network in two files of their own, and Bilayer's checkpoint is a
folder with a file for each part. Files are opened with `weights_only=True`: no code in them runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from fnevr.compat.names import LAYOUTS, Layout
from fnevr.config.models import AnyConfig, BilayerConfig
from fnevr.errors import CheckpointError, describe_problems
from fnevr.geometry.driving import NUM_POINTS
from fnevr.media.files import make_folder
from fnevr.models import ARCHITECTURES, PortraitModel
from fnevr.models.checkpoint_file import read_checkpoint, write_checkpoint
from fnevr.models.weights import put_weights, tensor_problems, with_counters

# DaGAN's depth network: part, file, and what in the file is no part of the network.
DEPTH_FILES = (("depth_encoder", "encoder.pth"), ("depth_decoder", "depth.pth"))
ENHANCEMENTS = 4  # of Bilayer's texture, where the checkpoint has an enhancer
_DEPTH_EXTRAS = ("height", "width", "use_stereo", "encoder.fc.")


def convert(
    checkpoint: str | Path,
    out_dir: str | Path,
    config: AnyConfig | None = None,
    depth: str | Path | None = None,
) -> PortraitModel:
    """Convert an authors' checkpoint to a weights folder of ours, and return the model.

    Args:
        checkpoint: the file; of Bilayer, the folder.
        out_dir: gets `config.json` and `model.safetensors`; untouched if anything is wrong.
        config: None takes that of the released 256x256 face models.
        depth: for DaGAN, the folder with its depth network: encoder.pth and depth.pth.

    Raises:
        CheckpointError: if a file is unsafe, damaged, or does not match the model.
    """
    model = load_checkpoint(checkpoint, config, depth)
    model.save_pretrained(out_dir)
    return model


def load_checkpoint(
    checkpoint: str | Path, config: AnyConfig | None = None, depth: str | Path | None = None
) -> PortraitModel:
    """Load an authors' checkpoint; which project's, its tensor names tell.

    Args:
        checkpoint: the file; of Bilayer, the folder.
        config: None takes that of the released 256x256 face models. Released FNeVR weights need
            `transmittance="inclusive"`, which that config has.
        depth: for DaGAN, the folder with its depth network: encoder.pth and depth.pth.

    Raises:
        CheckpointError: if a file is unsafe, damaged, or does not match the model.
    """
    path = Path(checkpoint)
    parts = read_part_files(path) if path.is_dir() else read_parts(path)
    if depth is not None:
        parts |= read_depth(Path(depth))
    layout = _detect(parts, path)
    if config is None:
        config = released_config_of(layout.config(), parts)
    if config.architecture != layout.architecture:
        raise CheckpointError(
            f"{path}: is a checkpoint of {layout.architecture!r}, but the config given is for "
            f"{config.architecture!r}"
        )
    model = ARCHITECTURES[layout.architecture].without_weights(config)
    ours = model.state_dict()

    # Compared under the checkpoint's own names, which are the ones its holder knows.
    theirs = _their_names(layout, ours)
    layout_tensors = {".".join(theirs[name]): tensor for name, tensor in ours.items()}
    file_tensors = {
        f"{part}.{name}": parts[part][name]
        for part in (*layout.parts, *layout.optional_parts)
        for name in parts.get(part, ())
    }
    file_tensors = with_counters(layout_tensors, file_tensors)
    problems = tensor_problems(layout_tensors, file_tensors)
    if problems:
        raise CheckpointError(describe_problems(str(path), problems))
    put_weights(model, {name: file_tensors[".".join(theirs[name])] for name in ours})
    return model.eval()


def export_checkpoint(model: PortraitModel, path: str | Path) -> None:
    """Write a model as its authors' code reads it: ``part -> state_dict`` and `epoch` 0.

    Args:
        model: FNeVR or a baseline.
        path: the file; appears only when complete. For Bilayer, a folder with a file per part.

    Raises:
        CheckpointError: if the model has tensors that the authors' layout has no name for.
        WriteError: if the file cannot be written.
    """
    weights = model.state_dict()
    layouts = [row for row in LAYOUTS if row.architecture == model.architecture]
    if not layouts:
        architectures = ", ".join(row.name for row in LAYOUTS)
        raise CheckpointError(
            f"no authors' layout for a model of architecture {model.architecture!r}: have "
            f"{architectures}"
        )
    # Of a project's layouts, the one that has most of the names.
    layout = max(layouts, key=lambda row: sum(row.to_theirs(name) is not None for name in weights))
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in layout.parts}
    for ours, (part, name) in _their_names(layout, weights).items():
        parts.setdefault(part, {})[name] = weights[ours].detach().cpu().clone()

    if layout.has_file_per_part:
        make_folder(Path(path))
        for part, tensors in parts.items():
            write_checkpoint(Path(path) / f"0_{part}.pth", tensors)
        return
    make_folder(Path(path).parent)
    write_checkpoint(Path(path), {**parts, "epoch": 0})


def read_parts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts of a checkpoint, by part; what is no state dict is left out.

    Raises:
        CheckpointError: if the file is missing, unsafe or damaged.
    """
    return {
        str(part): {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
        for part, state in read_checkpoint(path).items()
        if isinstance(state, dict)
    }


def find_part_files(folder: Path) -> list[tuple[str, Path]]:
    """Return part and path of a folder's files EPOCH_PART.pth, where a project keeps them so."""
    known = [
        part
        for layout in LAYOUTS
        if layout.has_file_per_part
        for part in (*layout.parts, *layout.optional_parts)
    ]
    named = [(path.stem.partition("_")[2], path) for path in sorted(folder.glob("*_*.pth"))]
    return [(part, path) for part, path in named if part in known]


def read_part_files(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts of a folder with a file EPOCH_PART.pth for each part.

    Raises:
        CheckpointError: if there is none, two are of one part, or one is unsafe or damaged.
    """
    found: dict[str, Path] = {}
    for part, path in find_part_files(folder):
        if part in found:
            raise CheckpointError(
                f"{folder}: has '{found[part].name}' and '{path.name}': leave the one that is meant"
            )
        found[part] = path
    if not found:
        raise CheckpointError(
            f"{folder}: no such checkpoint file. A folder is a checkpoint where it has a file for "
            "each part, as Bilayer's do: EPOCH_identity_embedder.pth and so on"
        )
    return {
        part: {
            str(name).removeprefix("module."): value
            for name, value in read_checkpoint(path).items()
        }
        for part, path in found.items()
    }


def read_depth(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Return the two parts of DaGAN's depth network, from `encoder.pth` and `depth.pth`.

    Raises:
        CheckpointError: if a file is missing, unsafe or damaged.
    """
    return {
        part: {
            str(name): tensor
            for name, tensor in read_checkpoint(folder / file).items()
            if not str(name).startswith(_DEPTH_EXTRAS)
        }
        for part, file in DEPTH_FILES
    }


def released_config_of(config: AnyConfig, parts: dict[str, dict[str, Tensor]]) -> AnyConfig:
    """Change a released configuration where checkpoints of one model differ: Bilayer's do.

    Some have a texture enhancer, and some take sines and cosines of the landmarks: the width of the
    first layer says so, which is 136 without them and 1088 with four octaves.
    """
    if not isinstance(config, BilayerConfig):
        return config
    steps = ENHANCEMENTS if "texture_enhancer" in parts else 0
    first = parts["keypoints_embedder"].get("net.mlp.0.weight_orig")
    width = first.shape[-1] if isinstance(first, Tensor) and first.ndim else 0
    harmonics = width // (4 * NUM_POINTS) if width > 2 * NUM_POINTS else 0
    return config.model_copy(update={"num_enhancements": steps, "num_harmonics": harmonics})


def _detect(parts: dict[str, dict[str, Tensor]], path: Path) -> Layout:
    """Return the layout whose signature one of its parts bears."""
    for layout in LAYOUTS:
        has_signature = any(
            name.startswith(layout.signature)
            for part in layout.parts
            for name in parts.get(part, ())
        )
        if not has_signature:
            continue
        absent_parts = [part for part in layout.parts if part not in parts]
        if not absent_parts:
            return layout
        if set(absent_parts) == {part for part, _ in DEPTH_FILES}:
            files = " and ".join(file for _, file in DEPTH_FILES)
            raise CheckpointError(
                f"{path}: DaGAN keeps its depth network in files of their own: name the folder "
                f"with {files} by `depth=FOLDER`",
                argument="depth",
            )
    names = ", ".join(layout.name for layout in LAYOUTS)
    raise CheckpointError(
        f"{path}: not a checkpoint of a known model ({names}): wanted the parts of one, such as "
        f"'generator' and 'kp_detector', got the parts {sorted(parts)}"
    )


def _their_names(layout: Layout, ours: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return part and name in the authors' checkpoint of each of our tensors."""
    names = {}
    for name in ours:
        theirs = layout.to_theirs(name)
        if theirs is None:
            raise CheckpointError(
                f"the authors' {layout.architecture} layout has no place for {name}: only models "
                "of the published shape can be exchanged with it"
            )
        names[name] = theirs
    return names
