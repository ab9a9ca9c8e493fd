"""Train the pose editor of a model, on a prepared folder, and write it beside the model's weights.

python scripts/train_pose_editor.py DATA MODEL [--stride 8] [--steps 3000]
"""

from __future__ import annotations

from pathlib import Path

import typer

from fnevr.config.presets import resolve_model
from fnevr.data.clips import load_clips
from fnevr.models import load_model
from fnevr.train.pose_editor import measure_frames, measure_response, train_pose_editor


def main(data: Path, model: str, stride: int = 8, steps: int = 3000, seed: int = 0) -> None:
    """Measure the training clips' frames, train, then measure how far drawn heads follow."""
    folder = resolve_model(model)
    portrait = load_model(folder).eval()

    def measured(done: int, count: int) -> None:
        if done % 10 == 0 or done == count:
            typer.echo(f"{done}/{count} clips measured")

    def trained(step: int, count: int, loss: float) -> None:
        if step % 500 == 0:
            typer.echo(f"step {step} of {count}: {loss:.4f}")

    clips = load_clips(data, "train")
    frames = measure_frames(portrait, clips, stride, measured)
    num_face = portrait.config.num_face_keypoints
    editor = train_pose_editor(frames, num_face, steps=steps, seed=seed, progress=trained)
    editor.response.copy_(measure_response(portrait, editor, clips, measured))
    yaw, pitch, roll = editor.response.tolist()
    typer.echo(f"drawn heads follow yaw by {yaw:.3f}, pitch {pitch:.3f}, roll {roll:.3f}")
    editor.save(folder)
    parameters = sum(value.numel() for value in editor.parameters())
    typer.echo(f"{folder}: an editor of {parameters} parameters from {len(frames)} frames")


if __name__ == "__main__":
    typer.run(main)
