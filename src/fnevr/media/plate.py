"""What stands behind a person, as far as a picture tells: a background without the person.

Gortler et al., The Lumigraph, 1996 (section 3.4.2), fill gaps by pulling known colours into ever
smaller pictures and pushing them back up to where none are known. Near the border of the gap that
is replaced by texture (`media.texture`).

Shapes: H and W of the picture, h and w of the mask or of one level of the pyramid, C planes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from fnevr.media.image import Picture
from fnevr.media.texture import filled_with_texture

MARGIN = 1 / 96  # of the longer side: how far around the person colours are not trusted
IS_WHOLE = 0.98  # alpha above which a pixel is all the person's
REACH = 0.15  # of the longer side: how far into the gap there is texture
IS_PERSON = 0.05  # alpha above which a pixel may hold colours of the person


def background_plate(rgb: Picture, alpha: Float[np.ndarray, "h w"]) -> Picture:
    """Fill the place of a person with the colours around it.

    Where the person was near the background the filling has its texture, further inside it is
    smooth. It is meant for the few pixels that show when the person moves, not as a picture of its
    own.

    Args:
        rgb: the picture.
        alpha: how much of each pixel the person covers, in [0, 1]; of the same size.

    Returns:
        The picture without the person; as it is where the person is far, and everywhere if nothing
        of the background shows.

    Raises:
        ValueError: if the two are not of one size.
    """
    if alpha.shape != rgb.shape[:2]:
        raise ValueError(f"alpha must be of the picture's size {rgb.shape[:2]}, got {alpha.shape}")
    margin = max(2, round(MARGIN * max(alpha.shape)))
    known = _trusted(alpha, margin)
    if not known.any():
        return rgb.copy()
    planes = np.stack([known, *(rgb.transpose(2, 0, 1) * known)])
    smooth = [_enlarged(plane, rgb.shape[:2]) for plane in _filled(_halved(planes))[1:]]
    filling = np.stack(smooth, axis=-1)
    # The picture fades into the filling over the outer half of the margin.
    share = _blurred(known, margin // 2)[..., None]
    plate = filling + share * (rgb - filling)
    texture, belief = filled_with_texture(rgb, known > 0, plate, REACH)
    # Not where the background shines through: there colours of the person are told from it.
    belief *= (2 * _blurred((alpha > IS_WHOLE).astype(np.float32), margin) - 1).clip(min=0)
    plate += belief[..., None] * (texture - plate)
    return np.rint(plate.clip(0, 255)).astype(np.uint8)


def _trusted(alpha: Float[np.ndarray, "H W"], margin: int) -> Float[np.ndarray, "H W"]:
    """Return 1 where the picture shows only background, 0 on the person and near it."""
    near = _blurred((alpha > IS_PERSON).astype(np.float32), margin)
    return (near == 0).astype(np.float32)


def _blurred(mask: Float[np.ndarray, "H W"], radius: int) -> Float[np.ndarray, "H W"]:
    """Take the mean over squares, in steps of 1/255."""
    levels = Image.fromarray(np.rint(mask * 255).astype(np.uint8))
    blurred = np.asarray(levels.filter(ImageFilter.BoxBlur(radius)))
    return blurred.astype(np.float32) / np.float32(255)


def _filled(planes: Float[np.ndarray, "C h w"]) -> Float[np.ndarray, "C h w"]:
    """Give every pixel a colour: its own, and as far as that is missing that of smaller versions.

    Args:
        planes: how far the colours are known, in [0, 1], and colours times that.

    Returns:
        Ones, and colours.
    """
    size = planes.shape[1:]
    if size == (1, 1):
        return planes / planes[0]
    smaller = _filled(_halved(planes))
    missing = 1 - planes[0]
    return np.stack(
        [
            plane + missing * _enlarged(coarse, size)
            for plane, coarse in zip(planes, smaller, strict=True)
        ]
    )


def _halved(planes: Float[np.ndarray, "C H W"]) -> Float[np.ndarray, "C h w"]:
    """Halve the size; colours that are known in half of a block are taken for all of it."""
    halves = np.stack([np.asarray(Image.fromarray(plane).reduce(2)) for plane in planes])
    return halves * (np.float32(1) / np.maximum(halves[0], np.float32(0.5)))


def _enlarged(plane: Float[np.ndarray, "h w"], size: tuple[int, ...]) -> Float[np.ndarray, "H W"]:
    """Bring a plane back to the size, (height, width), that was halved."""
    height, width = size
    box = (0, 0, width / 2, height / 2)  # an odd side leaves half a pixel over
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, box=box))
