"""Rounding to eight bits where it costs least.

The quantizer rounds what a convolution gives, and what the next one reads. Where only an activation
lies between them, the first rounding costs time and accuracy: it is dropped.

Maps that are interleaved are computed in float32, and the quantizer rounds them only where a
convolution reads them. So four times as many bytes are moved as needed. Rounding before the move
gives the same numbers. The rounding before the convolution stays, although it changes nothing any
more: ONNX Runtime finds its integer kernels by it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

MOVES = frozenset({"Concat", "DepthToSpace", "Identity", "Reshape", "Transpose"})


def round_once(model: Any) -> int:
    """Drop the rounding of each convolution whose result is only activated and rounded again.

    Args:
        model: an ONNX model, as for `round_before_moving`; it is changed.

    Returns:
        How many roundings were dropped.
    """
    nodes = list(model.graph.node)
    makers, users = _links(nodes)
    num_dropped = 0
    for activation in (node for node in nodes if node.op_type == "Relu"):
        chain = [activation]  # from there back
        for kind in ("DequantizeLinear", "QuantizeLinear", "Conv"):
            maker = makers.get(chain[-1].input[0])
            if maker is None or maker.op_type != kind:
                break
            chain.append(maker)
        else:
            num_dropped += _dropped(model, chain, users)
    return num_dropped


def _dropped(model: Any, chain: list[Any], users: dict[str, list[Any]]) -> bool:
    """Drop the rounding of a chain, given backwards, if nobody else needs it; say whether."""
    activation, restoring, rounding, conv = chain
    is_alone = all(len(users[node.output[0]]) == 1 for node in (restoring, rounding, conv))
    if not is_alone or {user.op_type for user in users[activation.output[0]]} != {"QuantizeLinear"}:
        return False
    activation.input[0] = conv.output[0]
    model.graph.node.remove(rounding)
    model.graph.node.remove(restoring)
    return True


def round_before_moving(model: Any) -> int:
    """Add to an ONNX model a rounding before each concatenation whose result is rounded later.

    Args:
        model: quantized, with QuantizeLinear and DequantizeLinear; it is changed.

    Returns:
        How many roundings were added.
    """
    from onnx import helper  # noqa: PLC0415 (optional)

    nodes = list(model.graph.node)
    makers, users = _links(nodes)
    readers = {node.input[0]: node for node in nodes if node.op_type == "DequantizeLinear"}
    before: dict[str, list[Any]] = {}
    for rounding in nodes:
        if rounding.op_type != "QuantizeLinear" or rounding.output[0] not in readers:
            continue
        concat = _concatenation(rounding.input[0], makers, users)
        if concat is None:
            continue
        restoring = readers[rounding.output[0]]
        added = before[concat.output[0]] = []
        rounded: dict[str, str] = {}
        for place, name in enumerate(concat.input):
            if name not in rounded:
                early = f"{name}_rounded_for_{concat.output[0]}"
                rounded[name] = f"{early}_restored"
                added += [
                    helper.make_node("QuantizeLinear", [name, *rounding.input[1:]], [early]),
                    helper.make_node(
                        "DequantizeLinear", [early, *restoring.input[1:]], [rounded[name]]
                    ),
                ]
            concat.input[place] = rounded[name]
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend([*before.get(node.output[0], []), node])
    return len(before)


def _links(nodes: list[Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return by its name which node makes each value, and which nodes use it."""
    makers = {name: node for node in nodes for name in node.output}
    users: defaultdict[str, list[Any]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            users[name].append(node)
    return makers, users


def _concatenation(name: str, makers: dict[str, Any], users: dict[str, list[Any]]) -> Any | None:
    """Return the concatenation behind a value that was only moved since and is used only once."""
    while name in makers and len(users[name]) == 1 and makers[name].op_type in MOVES:
        if makers[name].op_type == "Concat":
            return makers[name]
        name = makers[name].input[0]
    return None
