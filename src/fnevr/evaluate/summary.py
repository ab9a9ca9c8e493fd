"""From scores to tables: means, intervals, paired comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fnevr.evaluate.columns import Column, clip_value, columns_of
from fnevr.evaluate.metrics.fid import frechet_distance
from fnevr.evaluate.runner import STILL, Evaluation
from fnevr.evaluate.statistics import bootstrap_interval, paired_p_value


@dataclass(frozen=True)
class Cell:
    """One number of the table of models.

    Attributes:
        mean: over clips; of sets, the distance over all of them.
        low, high: 95 % bootstrap interval of the mean; NaN for distances of sets.
        p_value: of the difference to the first model; NaN for that one and for sets.
    """

    mean: float
    low: float = float("nan")
    high: float = float("nan")
    p_value: float = float("nan")


@dataclass(frozen=True)
class Summary:
    """The tables of an evaluation.

    Attributes:
        columns: those that there are.
        cells: by model, then by column.
        clips: by model, then by column, one number per pair (those of sets left out).
        first: the model that the others are compared with.
    """

    columns: list[Column]
    cells: dict[str, dict[str, Cell]]
    clips: dict[str, dict[str, list[float]]]
    first: str


def summarize_evaluation(evaluation: Evaluation) -> Summary:
    """Average over clips and compare every model with the first that is named."""
    names = [model.name for model in evaluation.models]
    first = next(name for name in names if name != STILL)
    pairs = [pair.name for pair in evaluation.pairs]
    columns = columns_of(evaluation.scores[first][pairs[0]])
    by_clip = [column for column in columns if not column.is_distance_of_sets]
    clips = {
        name: {
            column.name: [clip_value(evaluation.scores[name][pair], column) for pair in pairs]
            for column in by_clip
        }
        for name in names
    }
    cells: dict[str, dict[str, Cell]] = {name: {} for name in names}
    for name in names:
        for column in columns:
            if column.is_distance_of_sets:
                cells[name][column.name] = Cell(_distance(evaluation, name, column.name))
                continue
            cells[name][column.name] = _cell(
                np.array(clips[name][column.name]),
                None if name == first else np.array(clips[first][column.name]),
                column,
                evaluation.settings.seed,
            )
    return Summary(columns, cells, clips, first)


def _cell(values: np.ndarray, others: np.ndarray | None, column: Column, seed: int) -> Cell:
    numbers = values[~np.isnan(values)]
    if column.name == "lost":
        return Cell(float(numbers.sum()))
    mean = float(numbers.mean()) if len(numbers) else float("nan")
    low, high = bootstrap_interval(values, seed)
    p_value = float("nan") if others is None else paired_p_value(values, others, seed)
    return Cell(mean, low, high, p_value)


def _distance(evaluation: Evaluation, name: str, metric: str) -> float:
    generated = [scores.features[metric] for scores in evaluation.scores[name].values()]
    real = [scores.features[metric] for scores in evaluation.real.values()]
    sides = [np.concatenate(parts) for parts in (generated, real)]
    if min(len(side) for side in sides) < 2:
        return float("nan")
    return frechet_distance(*sides)
