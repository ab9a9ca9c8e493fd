"""MediaPipe's own operators and the merging of its refined landmarks, in plain ONNX operators.

The attention model of the face mesh looks again at the lips and the eyes: it fits a rotated box
to their landmarks, samples features there, and predicts finer points in the box's pixels.
Definitions: mediapipe/util/tflite/operations (version 2 of each operator) and
mediapipe/modules/face_landmark/tensors_to_face_landmarks_with_attention.pbtxt in google/mediapipe.
Used by convert_face_models.py, whose ``Converter`` is the ``c`` of every function here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from flatbuffers import flexbuffers

# Outputs of the attention model, and what each holds.
REFINED_OUTPUTS = {
    "output_mesh_identity": "mesh",
    "output_lips": "lips",
    "output_left_eye": "left_eye",
    "output_right_eye": "right_eye",
    "output_left_iris": "left_iris",
    "output_right_iris": "right_iris",
    "conv_faceflag": "presence",
}

# Which landmark each refined point replaces. "left" is the side of the picture.
LIPS = [
    *[61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409],
    *[78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415],
    *[76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408],
    *[62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407],
]
LEFT_EYE = [
    *[33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173],
    *[130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190],
    *[226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189],
    *[35, 124, 46, 53, 52, 65],
    *[143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193],
]
RIGHT_EYE = [
    *[263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398],
    *[359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414],
    *[446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413],
    *[265, 353, 276, 283, 282, 295],
    *[372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417],
]
NUM_MESH, NUM_CONTOUR = 468, 16  # the first 16 points of an eye are its rim


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _landmarks_to_matrix(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    """Fit a box to landmarks; give the map from its pixels to theirs, a (1, 4, 4) matrix.

    T = shift(centre) R^T scale(box / output) shift(-output / 2), where R turns the line between
    two landmarks level: its rows are that line's direction and the normal, so no angle is needed.
    """
    options = flexbuffers.Loads(operator.CustomOptionsAsNumpy().tobytes())
    if options["target_rotation_radians"] != 0:
        raise ValueError("only boxes that are turned level are needed so far")
    starts, ends, axes = (c.constant(_ints(i)) for i in (0, 2, 2))
    points = c.emit("Slice", c.value(inputs[0]), starts, ends, axes)

    left = c.emit("Gather", points, c.constant(_ints(options["left_rotation_idx"])), axis=1)
    right = c.emit("Gather", points, c.constant(_ints(options["right_rotation_idx"])), axis=1)
    line = c.emit("Sub", right, left)
    direction = c.emit("Div", line, c.emit("ReduceL2", line, axes=[2], keepdims=1))
    quarter_turn = c.constant(np.array([[[0, 1], [-1, 0]]], np.float32))
    turn = c.emit("Concat", direction, c.emit("MatMul", direction, quarter_turn), axis=1)
    turn_back = c.emit("Transpose", turn, perm=[0, 2, 1])

    subset = c.emit("Gather", points, c.constant(_ints(*options["subset_idxs"])), axis=1)
    level = c.emit("MatMul", subset, turn_back)
    low = c.emit("ReduceMin", level, axes=[1], keepdims=1)
    high = c.emit("ReduceMax", level, axes=[1], keepdims=1)
    middle = c.emit("Mul", c.emit("Add", low, high), c.constant(np.array([0.5], np.float32)))
    centre = c.emit("Transpose", c.emit("MatMul", middle, turn), perm=[0, 2, 1])

    size = np.array([options["output_width"], options["output_height"]], np.float32)
    factor = np.array([options["scale_x"], options["scale_y"]], np.float32) / size
    scale = c.emit("Mul", c.emit("Sub", high, low), c.constant(factor))
    linear = c.emit("Mul", turn_back, scale)
    corner = c.emit("MatMul", linear, c.constant(-size.reshape(1, 2, 1) / 2))
    zeros = c.constant(np.zeros((1, 2, 1), np.float32))
    rows = c.emit("Concat", linear, zeros, c.emit("Add", centre, corner), axis=2)
    last_rows = c.constant(np.eye(4, dtype=np.float32)[None, 2:])
    c.value_of[target] = c.emit("Concat", rows, last_rows, axis=1)


def _xy_rows(c: Any, matrix: str) -> str:
    """Give the transposed first two rows of a (1, 4, 4) matrix: (1, 4, 2)."""
    starts, ends, axes = (c.constant(_ints(i)) for i in (0, 2, 1))
    rows = c.emit("Slice", matrix, starts, ends, axes)
    return c.emit("Transpose", rows, perm=[0, 2, 1])


def _transform_tensor(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    """Sample features bilinearly where the matrix sends the output's pixels; 0 outside."""
    _, height_in, width_in, _ = c.shape(inputs[0])
    _, height, width, _ = c.shape(target)
    y, x = np.mgrid[:height, :width].reshape(2, -1) + 0.5
    pixels = np.stack([x, y, np.zeros_like(x), np.ones_like(x)], axis=1).astype(np.float32)
    sent = c.emit("MatMul", c.constant(pixels[None]), _xy_rows(c, c.value(inputs[1])))

    # Pixel centres at i + 0.5 become GridSample's [-1, 1] between the outermost centres.
    span = np.array([width_in - 1, height_in - 1], np.float32) / 2
    grid = c.emit(
        "Mul", c.emit("Sub", sent, c.constant(span + np.float32(0.5))), c.constant(1 / span)
    )
    shape = c.constant(_ints(1, height, width, 2))
    grid = c.emit("Reshape", grid, shape)
    sampled = c.emit("GridSample", c.value(inputs[0]), grid, align_corners=1, mode="bilinear")

    inside = c.emit("LessOrEqual", c.emit("Abs", grid), c.constant(np.float32(1).reshape(1)))
    mask = c.emit("ReduceMin", c.emit("Cast", inside, to=1), axes=[3], keepdims=1)
    c.value_of[target] = c.emit("Mul", sampled, c.emit("Transpose", mask, perm=[0, 3, 1, 2]))


def _transform_landmarks(c: Any, operator: Any, inputs: list[int], target: int) -> None:
    """Send 2D points through a (1, 4, 4) matrix."""
    num_points = c.shape(inputs[0])[1]
    zero_one = np.tile(np.array([0, 1], np.float32), (1, num_points, 1))
    points = c.emit("Concat", c.value(inputs[0]), c.constant(zero_one), axis=2)
    c.value_of[target] = c.emit("MatMul", points, _xy_rows(c, c.value(inputs[1])))


def refine_mesh(c: Any, parts: dict[str, str]) -> dict[str, str]:
    """Put the refined points in place: 478 landmarks (x, y, z), and the presence score.

    Depth is not refined; an iris gets the mean depth of its eye's rim.
    """
    mesh = c.emit("Reshape", parts["mesh"], c.constant(_ints(NUM_MESH, 3)))
    starts, middle, ends, axes = (c.constant(_ints(i)) for i in (0, 2, 3, 1))
    depth = c.emit("Slice", mesh, middle, ends, axes)
    sources = [c.emit("Slice", mesh, starts, middle, axes)]
    row_of = np.arange(NUM_MESH + 10)
    num_rows = NUM_MESH
    replaced = {
        "lips": LIPS,
        "left_eye": LEFT_EYE,
        "right_eye": RIGHT_EYE,
        "left_iris": list(range(NUM_MESH, NUM_MESH + 5)),
        "right_iris": list(range(NUM_MESH + 5, NUM_MESH + 10)),
    }
    for part, landmarks in replaced.items():
        sources.append(c.emit("Reshape", parts[part], c.constant(_ints(len(landmarks), 2))))
        row_of[landmarks] = np.arange(num_rows, num_rows + len(landmarks))
        num_rows += len(landmarks)
    xy = c.emit("Gather", c.emit("Concat", *sources, axis=0), c.constant(row_of), axis=0)

    depths = [depth]
    for eye in (LEFT_EYE, RIGHT_EYE):
        rim = c.emit("Gather", depth, c.constant(_ints(*eye[:NUM_CONTOUR])), axis=0)
        mean = c.emit("ReduceMean", rim, axes=[0], keepdims=1)
        depths.append(c.emit("Expand", mean, c.constant(_ints(5, 1))))
    z = c.emit("Concat", *depths, axis=0)
    presence = c.emit("Reshape", c.emit("Sigmoid", parts["presence"]), c.constant(_ints(1)))
    return {"landmarks": c.emit("Concat", xy, z, axis=1), "presence": presence}


MEDIAPIPE_OPERATORS = {
    "Landmarks2TransformMatrix": _landmarks_to_matrix,
    "TransformTensorBilinear": _transform_tensor,
    "TransformLandmarks": _transform_landmarks,
}
