"""How much work a pickle asks for, found out before it is unpickled.

Unpicklers that refuse code still do what a few hundred bytes can ask for: a tuple that holds the
same tuple twice, thirty times over, has a billion leaves when it is hashed as a key or printed.
So the opcodes are read first, one after the other, without making anything. Each container is
weighed as if nothing in it were shared; the sum has to be in proportion to the number of opcodes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from io import BufferedIOBase
from pickle import UnpicklingError
from typing import no_type_check

WEIGHT_PER_OPCODE = 30
FREE_WEIGHT = 100_000
MAX_LONG_NUMBERS = 1000
"""Numbers of more than 64 bits: as keys of a dictionary, enough of them make it slow."""

MARK = None
NUMBERS = {"INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2"}
EMPTY = {"EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "EMPTY_SET"}
FROM_MARK = {"TUPLE", "LIST", "DICT", "FROZENSET"}
FIXED = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3}
FIXED |= {"STACK_GLOBAL": 2, "BINPERSID": 1}
INTO = {"APPEND": 1, "SETITEM": 2, "BUILD": 1}
INTO_FROM_MARK = {"APPENDS", "SETITEMS", "ADDITEMS"}
PUT, GET = {"PUT", "BINPUT", "LONG_BINPUT"}, {"GET", "BINGET", "LONG_BINGET"}
NOTHING = {"PROTO", "FRAME", "READONLY_BUFFER"}


@no_type_check  # at run time: one is made for each opcode
class Node:
    """What would be made of an opcode: what it holds, and its text if it is one."""

    __slots__ = ("children", "text", "weight")

    def __init__(self, children: list[Node] | None = None, text: str = "") -> None:
        self.children = [] if children is None else children
        self.text = text
        self.weight = 0


def check_pickle(file: BufferedIOBase) -> None:
    """Read one pickle, up to its end, and check that little work can come of it.

    Args:
        file: is left behind the pickle.

    Raises:
        UnpicklingError: if it is damaged, or asks for more than its size may.
    """
    scan = _Scan()
    try:
        for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
            scan.take(opcode.name, argument)
    except UnpicklingError:
        raise
    except Exception as error:  # the opcodes of a damaged pickle may do almost anything
        raise UnpicklingError(f"it is no pickle, or damaged: {error}") from error
    limit = FREE_WEIGHT + WEIGHT_PER_OPCODE * scan.num_opcodes
    if _total_weight(scan.nodes, limit) > limit:
        raise UnpicklingError("it refers to itself so often that reading it would not end")


@no_type_check
class _Scan:
    """Follows the stack of an unpickler."""

    def __init__(self) -> None:
        self.stack: list[Node | None] = []
        self.memo: dict[int, Node] = {}
        self.nodes: list[Node] = []
        self.num_opcodes = 0
        self.num_long = 0
        self.atom = Node()

    def take(self, name: str, argument: object) -> None:
        """Do what an opcode does to the stack."""
        self.num_opcodes += 1
        if name in FIXED:
            self._make(self._pop(FIXED[name]), name)
        elif name in INTO:
            self._extend(self._pop(INTO[name]))
        elif name in PUT or name == "MEMOIZE":
            self._remember(len(self.memo) if name == "MEMOIZE" else int(str(argument)))
        elif name in GET:
            self.stack.append(self.memo[int(str(argument))])
        elif name in EMPTY:
            self._make([], name)
        elif name in FROM_MARK or name in {"INST", "OBJ"}:
            self._make(self._pop_mark(), name)
        elif name in INTO_FROM_MARK:
            self._extend(self._pop_mark())
        elif name not in NOTHING:
            self._take_rest(name, argument)

    def _take_rest(self, name: str, argument: object) -> None:
        if name == "MARK":
            self.stack.append(MARK)
        elif name in {"POP", "STOP"}:
            self.stack.pop()
        elif name == "POP_MARK":
            self._pop_mark()
        elif name == "DUP":
            self.stack.append(self._top())
        elif name.startswith("EXT"):
            raise UnpicklingError("it asks for an extension")
        else:
            self.stack.append(self._atom(name, argument))

    def _atom(self, name: str, argument: object) -> Node:
        if name in NUMBERS and isinstance(argument, int) and argument.bit_length() > 64:
            self.num_long += 1
            if self.num_long > MAX_LONG_NUMBERS:
                raise UnpicklingError("it holds too many numbers of more than 64 bits")
        if isinstance(argument, str | bytes) and len(argument) < 64:
            text = argument.decode("latin1") if isinstance(argument, bytes) else argument
            return Node(text=text)
        return self.atom

    def _make(self, children: list[Node], name: str) -> None:
        is_encoding = name == "REDUCE" and children[0].text in {"_codecs encode", "encode"}
        if is_encoding and [child.text for child in children[1].children[1:]] != ["latin1"]:
            # Some take time that grows with the square of the text.
            raise UnpicklingError("it asks for another encoding than latin1")
        node = Node(children, children[1].text if name == "STACK_GLOBAL" else "")
        self.nodes.append(node)
        self.stack.append(node)

    def _extend(self, children: list[Node]) -> None:
        top = self._top()
        if top is self.atom:
            raise UnpicklingError("it is damaged: something is put into a number")
        top.children.extend(children)

    def _remember(self, index: int) -> None:
        if not 0 <= index <= self.num_opcodes:  # room is made for all below it
            raise UnpicklingError(f"it is damaged: its {len(self.memo)}th memo is {index}")
        self.memo[index] = self._top()

    def _top(self) -> Node:
        top = self.stack[-1]
        if top is MARK:
            raise UnpicklingError("it is damaged: a mark is taken for an object")
        return top

    def _pop(self, count: int) -> list[Node]:
        popped = [node for node in self.stack[-count:] if node is not MARK]
        if len(popped) < count:
            raise UnpicklingError("it is damaged: it takes more than there is")
        del self.stack[-count:]
        return popped

    def _pop_mark(self) -> list[Node]:
        popped: list[Node] = []
        while (node := self.stack.pop()) is not MARK:
            popped.append(node)
        return popped[::-1]


def _total_weight(nodes: list[Node], limit: int) -> int:
    """Sum up, over all containers, how many objects each holds if none is shared; cap the sum."""
    total = 0
    for root in nodes:
        if root.weight == 0:
            _weigh(root, limit)
        total = min(total + root.weight, limit + 1)
    return total


def _weigh(root: Node, limit: int) -> None:
    """Weigh a container and all in it; what holds itself counts there as one."""
    root.weight = 1
    path: list[tuple[Node, Iterator[Node]]] = [(root, iter(root.children))]
    while path:
        node, children = path[-1]
        for child in children:
            if child.weight == 0:
                child.weight = 1
                path.append((child, iter(child.children)))
                break
            node.weight = min(node.weight + child.weight, limit + 1)
        else:
            path.pop()
            if path:
                parent = path[-1][0]
                parent.weight = min(parent.weight + node.weight, limit + 1)
