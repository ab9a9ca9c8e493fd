from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fnevr.evaluate.reconstruction import score_clip, score_still
from fnevr.train.validation import picture_sheet, validate


def test_scores_every_clip_with_the_still_frame_beside(tiny_model, sampler):
    clip = sampler.clips[0]
    result = validate(tiny_model.train(), [clip, clip], stride=2)
    expected = score_clip(tiny_model.eval(), clip, stride=2)
    assert result.clips == (expected, expected)
    assert result.psnr == pytest.approx(expected.model)
    assert result.still == pytest.approx(expected.still)
    assert result.worst_gain == pytest.approx(expected.model - expected.still)


def test_clips_shorter_than_the_stride_count(tiny_model, sampler):
    (score,) = validate(tiny_model, sampler.clips[:1], stride=100).clips
    assert score.frames == 1


def test_stills_have_a_number_of_their_own(tiny_model, sampler):
    clip = sampler.clips[0]
    still = replace(clip, real_frames=1)
    with_still = validate(tiny_model, [clip, still], stride=2)
    alone = validate(tiny_model, [clip], stride=2)
    assert with_still.stills_psnr == pytest.approx(score_still(tiny_model, still).model)
    assert replace(with_still, stills_psnr=None) == alone


def test_sheet_shows_the_first_frame_the_most_different_and_what_is_made(tiny_model, sampler):
    clip = sampler.clips[0]
    sheet = picture_sheet(tiny_model, [clip, clip])
    assert sheet.shape == (2 * 64, 5 * 64, 3)
    assert sheet.dtype == np.uint8
    assert np.array_equal(sheet[:64, :64], clip.frames[0])
    distances = [np.abs(f.astype(float) - clip.frames[0]).mean() for f in clip.frames]
    assert np.array_equal(sheet[:64, 64:128], clip.frames[int(np.argmax(distances))])
