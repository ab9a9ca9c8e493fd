"""Weights folders: `config.json` beside `model.safetensors`, read strictly, written atomically."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fnevr.config.folder import CONFIG_NAME, MADE_OF_WEIGHTS, WEIGHTS_NAME
from fnevr.config.stages import PortraitConfig
from fnevr.errors import CheckpointError, describe_problems
from fnevr.media.files import file_sha256, partial_folder

COUNTER = ".num_batches_tracked"


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Map all tensors of `model.safetensors`: each is read when it is used.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights file")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged weights file ({error}). Fetch or convert it again."
        ) from error


def load_strict(model: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Put weights into a model, which may still be on the meta device.

    Floating-point tensors become float32, whatever they are stored as. What is float32 already is
    taken as it is: weights read from a file stay mapped to it.

    Args:
        model: the model; its tensors are replaced.
        weights: exactly the tensors of the model's state dict; the model shares their memory, so do
            not use them afterwards.
        origin: where they come from, for the error message.

    Raises:
        CheckpointError: listing every tensor that is missing, unexpected or mis-shaped.
    """
    problems = tensor_problems(model.state_dict(), weights)
    if problems:
        raise CheckpointError(describe_problems(origin, problems))
    put_weights(model, weights)


def put_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model that `tensor_problems` has nothing to say of; see `load_strict`."""
    expected = model.state_dict()
    converted = {name: weights[name].to(tensor.dtype) for name, tensor in expected.items()}
    model.load_state_dict(converted, strict=True, assign=True)


def with_counters(expected: Mapping[str, Tensor], actual: Mapping[str, Any]) -> dict[str, Any]:
    """Make up the counts of batches; nobody reads them.

    Checkpoints of before PyTorch 0.4.1 lack them, and whoever halves all tensors halves these too.

    Args:
        expected: the tensors that are wanted.
        actual: those that are there, by the same names.
    """
    halved = {
        name
        for name, value in actual.items()
        if name.endswith(COUNTER) and isinstance(value, Tensor) and value.is_floating_point()
    }
    return {
        **{name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(COUNTER)},
        **{name: value for name, value in actual.items() if name not in halved},
    }


def tensor_problems(expected: Mapping[str, Tensor], actual: Mapping[str, object]) -> list[str]:
    """Say, one line each, where `actual` differs from `expected` in names, shapes and kinds.

    A tensor that has an infinity or NaN in the expected type is a problem too: it would give black
    or noisy frames.
    """
    problems = [f"missing: {name}" for name in expected if name not in actual]
    problems += [f"unexpected: {name}" for name in actual if name not in expected]
    for name, wanted in expected.items():
        if name not in actual:
            continue
        tensor = actual[name]
        if not isinstance(tensor, Tensor):
            problems.append(f"not a tensor: {name} is a {type(tensor).__name__}")
        elif tensor.shape != wanted.shape:
            problems.append(
                f"mis-shaped: {name} is {tuple(tensor.shape)}, wanted {tuple(wanted.shape)}"
            )
        elif tensor.is_floating_point() != wanted.is_floating_point():
            problems.append(f"wrong type: {name} is {tensor.dtype}, wanted {wanted.dtype}")
        elif tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            problems.append(f"not a plain tensor: {name} is sparse, quantized or without values")
        elif not is_finite(tensor, wanted.dtype):
            problems.append(f"not finite: {name} holds infinities or NaN as {wanted.dtype}")
    return problems


def is_finite(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Return whether all numbers are finite in the type in which they are used or stored."""
    return bool(tensor.to(dtype).isfinite().all())


def save_folder(
    folder: Path,
    config: PortraitConfig,
    weights: Mapping[str, Tensor],
    *,
    half_precision: bool = False,
) -> None:
    """Write a weights folder.

    A new folder is filled beside its place and then renamed, so it is whole or absent. In a folder
    that exists, each of the two files is replaced by a rename; graphs and a pose editor that were
    made of other weights are removed, and other files stay.

    Args:
        folder: where to.
        config: what goes to `config.json`.
        weights: what goes to `model.safetensors`.
        half_precision: store floating-point tensors as float16, but for those that are beyond it.

    Raises:
        CheckpointError: if numbers are not finite as stored.
        WriteError: if the folder cannot be written.
    """
    with partial_folder(folder) as partial:
        _write_files(partial, config, weights, half_precision)
        _move_into_place(partial, folder)


def _write_files(
    folder: Path, config: PortraitConfig, weights: Mapping[str, Tensor], half_precision: bool
) -> None:
    stored = {}
    for name, tensor in weights.items():
        can_be_halved = tensor.is_floating_point() and is_finite(tensor, torch.float16)
        dtype = torch.float16 if half_precision and can_be_halved else tensor.dtype
        stored[name] = tensor.detach().cpu().to(dtype).contiguous()
    check_stored(stored, str(folder))
    text = config.model_dump_json(indent=2) + "\n"
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    save_file(stored, folder / WEIGHTS_NAME, metadata={"format": "pt"})
    # safetensors makes its files private.
    (folder / WEIGHTS_NAME).chmod((folder / CONFIG_NAME).stat().st_mode)


def check_stored(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raise a CheckpointError rather than write what `load_strict` would refuse."""
    broken = [name for name, tensor in tensors.items() if not is_finite(tensor, tensor.dtype)]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise CheckpointError(
            f"{origin}: not written: {', '.join(broken[:3])}{more} would hold infinities or NaN as "
            f"{tensors[broken[0]].dtype}"
        )


def _move_into_place(partial: Path, folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        _remove_stale(folder, partial / WEIGHTS_NAME)
        for name in (WEIGHTS_NAME, CONFIG_NAME):
            (partial / name).replace(folder / name)
        return
    partial.replace(folder)


def _remove_stale(folder: Path, weights: Path) -> None:
    """Remove what was made of other weights than the new ones: it would not fit them."""
    before = folder / WEIGHTS_NAME
    if before.is_file() and file_sha256(before) == file_sha256(weights):
        return
    for name in MADE_OF_WEIGHTS:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
