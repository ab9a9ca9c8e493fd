"""Still pictures in and out: uint8 RGB arrays, whatever the file holds.

Shapes: H and W in pixels, after the orientation that the file asks for is applied.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, UnidentifiedImageError

from fnevr.errors import MediaError
from fnevr.media.bounds import check_bounds, too_large
from fnevr.media.files import PathLike, atomic_path, check_target, readable_file
from fnevr.media.strips import reduced, strips

Picture = UInt8[np.ndarray, "H W 3"]

# Larger pictures are reduced when they are read: no video can have larger frames (H.264, level 6.2:
# 139,264 blocks of 16 x 16), and copies of such pictures fit into the memory of small machines.
KEPT_PIXELS = 139_264 * 16 * 16
EXTENSIONS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}  # to be written

# Formats that only hold pixels: no EPS, which runs a program. JPEG includes phones' MPO.
READABLE_FORMATS = (
    *("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM"),
    *("AVIF", "JPEG2000", "ICO"),
)
EXIF_ORIENTATION = 0x0112
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda rgb: np.rot90(rgb, 2),
    4: np.flipud,
    5: lambda rgb: rgb.swapaxes(0, 1),
    6: lambda rgb: np.rot90(rgb, -1),
    7: lambda rgb: np.rot90(rgb, 2).swapaxes(0, 1),
    8: np.rot90,
}
"""How a stored picture is shown, by its EXIF orientation."""

PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "LAB": "LAB", "Lab": "LAB"}
"""What pixels must be for a profile, by the colours that it is of."""
GRAY_MODES = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

# What Pillow raises on damaged files, beside MediaError's own cases.
DAMAGE = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError)


def read_image(path: PathLike) -> UInt8[np.ndarray, "H W 3"]:
    """Read any picture as RGB: upright, alpha over white, embedded colours converted to sRGB.

    Pictures of more than `KEPT_PIXELS` are reduced by a whole factor; `reduction_warning` says so.

    Args:
        path: JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF ...; the first image of an animation.

    Raises:
        MediaError: if the file is missing, damaged, too large, or not a picture.
    """
    with open_image(path) as image:
        try:
            return upright_rgb(image)
        except MemoryError as error:
            raise MediaError(f"'{path}' does not fit in memory: {image.size} pixels") from error
        except DAMAGE as error:
            raise MediaError(
                f"'{path}' is damaged or cut short ({error}); export or copy it again"
            ) from error


def reduction_warning(path: PathLike, rgb: Picture) -> list[str]:
    """Say if a picture that `read_image` gave is smaller than its file's.

    Raises:
        MediaError: if the file is not a picture any more.
    """
    with open_image(path) as image:
        width, height = sorted(image.size)
    kept_width, kept_height = sorted(rgb.shape[:2])
    if (kept_width, kept_height) == (width, height):
        return []
    return [
        f"'{path}' has {width * height / 1e6:.0f} megapixels; pictures of more than "
        f"{KEPT_PIXELS / 1e6:.0f} are reduced: {rgb.shape[1]} x {rgb.shape[0]} of it are used"
    ]


def open_image(path: PathLike) -> Image.Image:
    """Open a picture without decoding it, so that its size is known.

    Raises:
        MediaError: if the file is missing, too large, asks for too much work, or is not a picture.
    """
    path = readable_file(path, "an image")
    try:
        with without_warnings():
            image = _identified(path)
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except DAMAGE as error:
        raise MediaError(f"'{path}' is not an image that can be read{_hint(path)}") from error
    if min(image.size) < 1:
        raise MediaError(f"'{path}' has no pixels: its size is {image.size}")
    try:
        check_bounds(path, image)
    except BaseException:
        image.close()
        raise
    return image


def is_image(path: Path) -> bool:
    """Return whether a file is a picture by its first bytes, whole or damaged, HEIC among them."""
    with path.open("rb") as file:
        head = file.read(16)
    if _is_heic(head):
        return True
    try:
        with without_warnings(), _identified(path):
            return True
    except (*DAMAGE, Image.DecompressionBombError) as error:
        return not isinstance(error, UnidentifiedImageError)


def _is_heic(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in {b"heic", b"heix", b"mif1", b"msf1", b"hevc"}


def _identified(path: Path) -> Image.Image:
    """Open a picture of the common formats; the others are imported if it is none of them."""
    Image.preinit()
    try:
        return Image.open(path, formats=[name for name in READABLE_FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(path, formats=[name for name in READABLE_FORMATS if name in Image.OPEN])


def upright_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Decode the current frame of an opened picture, turned as its EXIF orientation says.

    Pictures of more than `KEPT_PIXELS` are reduced by a whole factor. Of a large one there is one
    copy as it is decoded; all else is done strip by strip.
    """
    with without_warnings():
        if image.format in {"JPEG", "MPO"}:
            factor = reduction(image.size)
            image.draft(None, (image.width // factor, image.height // factor))  # decodes less
        image.load()
        turn = TURNS.get(image.getexif().get(EXIF_ORIENTATION, 1))
        rgb = to_rgb(image, reduction(image.size))
        return rgb if turn is None else np.ascontiguousarray(turn(rgb))


def reduction(size: tuple[int, int]) -> int:
    """Return by which factor a picture of a size has to be reduced to `KEPT_PIXELS`."""
    return math.ceil(math.sqrt(size[0] * size[1] / KEPT_PIXELS))


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep Pillow quiet about what does not matter to the pixels.

    It warns of broken metadata, and of pictures from half of its size limit on, though
    photographs of 108 megapixels exist.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def to_rgb(image: Image.Image, factor: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an opened picture of any mode to 8 bit sRGB, with alpha over white.

    Args:
        image: the picture.
        factor: by which it is reduced.
    """
    width, height = image.size
    scale = _gray_scale(image) if image.mode.startswith("I") or image.mode == "F" else None
    profile = _profile(image)

    def rows(first: int, last: int) -> UInt8[np.ndarray, "h W 3"]:
        strip = image.crop((0, first, width, last))
        if scale is not None:
            strip = Image.fromarray(_gray_levels(np.asarray(strip), scale))
        return _strip_rgb(strip, profile)

    return reduced(rows, height, width, factor)


def _strip_rgb(image: Image.Image, profile: _Profile | None) -> UInt8[np.ndarray, "H W 3"]:
    """Convert a strip that has colours or 8 bits."""
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    if profile is not None:
        converted = ImageCms.applyTransform(image.convert(profile.mode), profile.to_srgb)
        assert converted is not None, "it is not done in place"
        image = converted
    image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, (255, 255, 255)), alpha)
    return np.asarray(image)


def write_image(path: PathLike, rgb: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture; it appears under its name only when it is complete.

    Args:
        path: ends in .jpg, .jpeg, .png or .webp, which chooses the format.
        rgb: the picture.

    Raises:
        MediaError: if the extension is not known or the folder cannot be written.
        ValueError: if ``rgb`` is not a uint8 array of shape (H, W, 3).
    """
    check_image_target(path)
    check_rgb(rgb)
    with atomic_path(path) as temporary:
        save_image(temporary, rgb)


def save_image(path: Path, rgb: UInt8[np.ndarray, "H W 3"]) -> None:
    """Encode a picture into a file, as its ending says.

    Raises:
        OSError: if it cannot be written.
    """
    file_format = EXTENSIONS[path.suffix.lower()]
    options = {"quality": 95, **({"subsampling": 0} if file_format == "JPEG" else {})}
    encoded = io.BytesIO()  # Pillow itself misses that a file took only a part
    Image.fromarray(np.ascontiguousarray(rgb)).save(encoded, file_format, **options)
    path.write_bytes(encoded.getbuffer())


def check_image_target(path: PathLike) -> None:
    """Raise MediaError now if `write_image` could not write to this path later."""
    suffix = Path(path).suffix.lower()
    if suffix not in EXTENSIONS:
        raise MediaError(
            f"cannot write '{path}': a picture's name must end in {', '.join(EXTENSIONS)}, "
            f"got {suffix or 'no extension'!r}"
        )
    check_target(path)


def check_rgb(rgb: np.ndarray) -> None:
    """Raise ValueError unless the array is a uint8 RGB picture with at least one pixel."""
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[-1] != 3 or rgb.size == 0:
        raise ValueError(f"wanted a uint8 array (H, W, 3), got {rgb.dtype} {rgb.shape}")


def _gray_scale(image: Image.Image) -> float:
    """Return by what 16 bit, 32 bit or float gray values are multiplied to be 0 to 255.

    The range is not in the file: integers are read as 16 bit if any is above 255, floats as
    [0, 1] unless any is above 1.
    """
    width, height = image.size
    brightest = -math.inf
    for first, last in strips(height, width):
        values = np.asarray(image.crop((0, first, width, last)))
        kind = values.dtype
        brightest = max(brightest, float(_finite(values).max()))
    if kind.kind == "f":
        return 1.0 if brightest > 1.0 else 255.0
    return 1.0 / 257.0 if brightest > 255 or kind == np.uint16 else 1.0


def _gray_levels(gray: np.ndarray, scale: float) -> UInt8[np.ndarray, "H W"]:
    return np.clip(np.rint(_finite(gray) * scale), 0, 255).astype(np.uint8)


def _finite(gray: np.ndarray) -> Float[np.ndarray, "H W"]:
    return np.nan_to_num(gray.astype(np.float64), posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class _Profile:
    """How an embedded colour profile takes pixels to sRGB.

    Attributes:
        mode: that the pixels must have.
        to_srgb: gives RGB.
    """

    mode: str
    to_srgb: Any


def _profile(image: Image.Image) -> _Profile | None:
    """Return the embedded colour profile (wide gamuts, CMYK, gray); None where there is none.

    One that is broken, or of other colours than the pixels, counts as none: the plain conversion is
    the best that is left.
    """
    content = image.info.get("icc_profile")
    if not content:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        mode = PROFILE_MODES[profile.profile.xcolor_space.strip()]
        if (mode in {"CMYK", "LAB"}) != (image.mode in {"CMYK", "LAB"}):
            return None
        # Colours in a gray profile would become gray, and gray in one of colours is red, green and
        # blue alike.
        if mode == "L" and image.mode not in GRAY_MODES:
            return None
        srgb = ImageCms.createProfile("sRGB")
        return _Profile(mode, ImageCms.buildTransform(profile, srgb, mode, "RGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, KeyError):
        return None


def _hint(path: Path) -> str:
    """Say what to do about the files that people most often bring instead of a picture."""
    with path.open("rb") as file:
        head = file.read(16)
    if _is_heic(head):
        return ": it is HEIC, as phones make; export it as JPEG"
    if head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3":
        return ": it looks like a video; give one picture, for example a frame of it"
    return "; give a JPEG, PNG or WebP file"
