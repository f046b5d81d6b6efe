"""Conversions between float16 and float32 in C: vectors of neighbouring elements, by instructions of the machine.

C compilers do not use these instructions in vectorised loops. So a body that converts runs in stages, each a loop over
the elements of a few vectors; the values that later stages use are in arrays, which are converted between the stages.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeGuard

import torch

from funcnet.compiler.native.buffers import View
from funcnet.compiler.native.c.tails import Tails
from funcnet.compiler.native.c.writer import NAMES, Place
from funcnet.compiler.native.loop_ir import Node, Operand, Part, Scatter, Store, operands, writes

_LEAST, _MOST = 16, 64  # elements of a stage: one or some of the widest vectors


class Conversions(Tails):
    """The body of a nest at several indices of its last level, in stages if it converts float16."""

    def stage_size(self) -> int:
        """Return the number of elements of a stage; 0 if the body does not run in stages."""
        size, body = self.sizes[-1] if self.sizes else 0, self.nest.body
        if size < _LEAST or self.nest.sequential or self.lanes_vary() or not any(map(is_conversion, body)):
            return 0
        read = {x.buffer for part in body for x in operands(part) if isinstance(x, View)}
        changed = {view.buffer for view in writes(self.nest)}
        if changed & read or any(isinstance(part, Scatter) for part in body):
            return 0
        return min(_MOST, 1 << (size.bit_length() - 1))

    def staged(self, place: list[str], first: str, count: int) -> None:
        """Print the body at `count` neighbouring indices of the last level from `first` on."""
        index, self.arrays_of = f"i{len(self.sizes) - 1}", dict[Operand, str]()
        at, begin = self.expand([*place, index]), self.expand([*place, first])
        stages = _stages(self.nest.body)
        used = {x for part in self.nest.body if not self.is_stored_whole(part) for x in operands(part)}
        self.kept = dict(self.outer)
        for depth, parts in enumerate(stages):
            for part in parts:
                if is_conversion(part) and part in used:
                    self.convert(part, begin, first, count)
                elif isinstance(part, Store) and is_conversion(node := part.value) and self.is_stored_whole(part):
                    self.call(node, f"&{self.writer.load(part.view, begin)}", begin, first, count)
            rest = [part for part in parts if not is_conversion(part) and not self.is_stored_whole(part)]
            crossing = _crossing(rest, [part for later in stages[depth + 1 :] for part in later])
            if rest:
                self.stage(rest, crossing, at, f"const i64 {index} = {first} + w;", count)

    def stage(self, parts: Sequence[Part], crossing: Sequence[Node], at: Place, index: str, count: int) -> None:
        """Print the loop of one stage, which stores the values that cross to later ones."""
        for x in crossing:
            self.arrays_of[x] = self.new_array(self.writer.type(x), count)
        with self.elements(0, count):
            self.writer.put(index)
            self.names = dict(self.kept)
            self.run(parts, at)
            for x in crossing:
                self.writer.put(f"{self.arrays_of[x]}[w] = {self.names[x]};")
        self.kept.update({x: f"{self.arrays_of[x]}[w]" for x in crossing})

    def convert(self, node: Node, begin: Place, first: str, count: int) -> None:
        """Print the conversion of an array, or of one number that all elements share."""
        source, kind = node.args[0], NAMES[node.dtype]
        if isinstance(source, View) and not source.strides[self.groups[-1][-1]]:
            self.kept[node] = self.writer.fresh("n")
            self.writer.put(f"const {kind} {self.kept[node]} = {self.cast(node, self.writer.load(source, begin))};")
            return
        self.arrays_of[node] = self.new_array(kind, count)
        self.call(node, self.arrays_of[node], begin, first, count)
        self.kept[node] = f"{self.arrays_of[node]}[w]"

    def call(self, node: Node, to: str, begin: Place, first: str, count: int) -> None:
        """Print the conversion of an array to another one."""
        source = self.array_of(node.args[0], begin, first, count)
        name = "widen" if node.dtype == torch.float32 else "shorten"
        self.writer.put(f"{self.writer.call(name, 'f32', to, source, str(count))};")

    def is_stored_whole(self, part: Part) -> bool:
        """Tell whether a part stores converted neighbours to neighbours, which needs no array between."""
        axis = self.groups[-1][-1]
        if not isinstance(part, Store) or not is_conversion(part.value) or part.view.strides[axis] != 1:
            return False
        (source,) = part.value.args
        return part.value.dtype == torch.float16 and (not isinstance(source, View) or source.strides[axis] == 1)

    def array_of(self, source: Operand, begin: Place, first: str, count: int) -> str:
        """Return the address of the elements to convert: of a view, in place or of a copy, or of an array."""
        if not isinstance(source, View):
            return self.arrays_of[source]
        axis = self.groups[-1][-1]
        if source.strides[axis] == 1:
            return f"&{self.writer.load(source, begin)}"
        name = self.new_array(self.writer.type(source), count)
        place = [f"({first} + w)" if a == axis else at for a, at in enumerate(begin)]
        self.writer.put(f"for (int w = 0; w < {count}; ++w) {name}[w] = {self.writer.load(source, place)};")
        return name

    def new_array(self, kind: str, count: int) -> str:
        """Declare an array of the elements of a stage."""
        name = self.writer.fresh("h")
        self.writer.array(kind, name, count)
        return name


def is_conversion(part: Part | Operand) -> TypeGuard[Node]:
    """Tell whether a part of a body converts float16 to float32 or back."""
    if not isinstance(part, Node) or part.op != "cast":
        return False
    return {part.dtype, part.args[0].dtype} == {torch.float16, torch.float32}


def _stages(body: Sequence[Part]) -> list[list[Part]]:
    """Group the parts of a body by the number of conversions of computed values before them."""
    depths: dict[Part | Operand, int] = {}
    found = defaultdict[int, list[Part]](list)
    for part in body:
        depths[part] = max((depths.get(x, 0) for x in operands(part)), default=0)
        if is_conversion(part) and not isinstance(operands(part)[0], View):
            depths[part] += 1
        found[depths[part]].append(part)
    return [found[depth] for depth in range(max(found, default=-1) + 1)]


def _crossing(parts: Sequence[Part], later: Sequence[Part]) -> list[Node]:
    """List the values of a stage that later ones use."""
    used = {x for part in later for x in operands(part)}
    return [part for part in parts if isinstance(part, Node) and part in used]
