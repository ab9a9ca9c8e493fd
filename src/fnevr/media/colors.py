"""From videos with a wide range of brightness (HLG, PQ) or of colours to what screens expect.

HLG and PQ are those of ITU-R BT.2100. As BT.2408 has it, their reference white of 203 cd/m2 becomes
the white of BT.1886, here gamma 2.4; what is brighter is pressed into the last tenth. Colours are
changed from the primaries of BT.2020 or Display P3 to those of BT.709.

Shapes: H and W in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from jaxtyping import Float, UInt8, UInt16

from fnevr.media.strips import strips

# As ITU-T H.273 numbers them.
PQ, HLG, UNSPECIFIED = 16, 18, 2
BT_2020, DISPLAY_P3 = 9, 12
TO_BT_709 = {
    BT_2020: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    DISPLAY_P3: ((1.2249, -0.2249, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0983)),
}
BRIGHTNESS_OF_2020 = (0.2627, 0.6780, 0.0593)
WHITE, HLG_PEAK, PQ_PEAK = 203.0, 1000.0, 10_000.0  # cd/m2
HLG_GAMMA, GAMMA = 1.2, 2.4
KNEE = 0.9  # of white: what is brighter is pressed together
LEVELS = 2**12  # of the tables
FULL = 255 * 2**8  # white in 16 bits, as FFmpeg converts to them


@dataclass(frozen=True)
class Colors:
    """How the numbers of a frame stand for light.

    Attributes:
        transfer: the curve, as H.273 numbers it.
        primaries: the colours of red, green and blue.
    """

    transfer: int
    primaries: int

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colors | None:
        """Return those of a frame, None where they are as screens expect."""
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        if transfer in {PQ, HLG} and primaries == UNSPECIFIED:
            primaries = BT_2020
        if transfer not in {PQ, HLG} and primaries not in TO_BT_709:
            return None
        return cls(transfer, primaries)

    def for_screens(self, rgb: UInt16[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Return a picture with the curve and colours of BT.709; its white was `FULL`."""
        result = np.empty(rgb.shape, np.uint8)
        light, levels = _light(self.transfer), _levels()
        for first, last in strips(rgb.shape[0], rgb.shape[1]):
            linear = light[rgb[first:last] // (2**16 // LEVELS)]
            if self.transfer == HLG:
                linear *= _hlg_gain(linear)
            if self.primaries in TO_BT_709:
                linear = linear @ np.array(TO_BT_709[self.primaries], np.float32).T
            pressed = _pressed(linear)
            result[first:last] = levels[(pressed * (len(levels) - 1) + 0.5).astype(np.int32)]
        return result


def _hlg_gain(scene: Float[np.ndarray, "h W 3"]) -> Float[np.ndarray, "h W 1"]:
    """Return by what a screen multiplies the light before a camera, in shares of white."""
    brightness = scene @ np.array(BRIGHTNESS_OF_2020, np.float32)
    return (HLG_PEAK / WHITE * brightness[..., None] ** np.float32(HLG_GAMMA - 1)).astype(
        np.float32
    )


def _pressed(linear: Float[np.ndarray, "h W 3"]) -> Float[np.ndarray, "h W 3"]:
    """Return light of 0 to 1, as it was up to the knee."""
    room = 1 - KNEE
    above = np.maximum(linear - KNEE, 0)
    return np.clip(np.minimum(linear, KNEE) + room * (1 - np.exp(-above / room)), 0, 1)


@lru_cache
def _light(transfer: int) -> Float[np.ndarray, " L"]:
    """Return the light that each signal stands for: before a camera (HLG) or in whites."""
    signal = np.minimum(np.arange(LEVELS) * (2**16 / LEVELS / FULL), 1)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    elif transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = signal ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (PQ_PEAK / WHITE)
    else:
        light = signal**GAMMA
    return light.astype(np.float32)


@lru_cache
def _levels() -> UInt8[np.ndarray, " L"]:
    """Return the eight-bit signal of light from 0 to 1."""
    light = np.linspace(0, 1, 2**16)
    return np.rint(255 * light ** (1 / GAMMA)).astype(np.uint8)
