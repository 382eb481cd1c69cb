"""Many strings looked for in many texts in one pass over their bytes (Aho and Corasick, 1975), as machine code.

ASCII letters match in either case. Time grows with the length of the texts, whatever stands in them, and with what is
found; how many strings are looked for does not matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
_ROOM: Final = 256


@dataclass(frozen=True, slots=True)
class Strings:
    """An automaton over classes of bytes. `ends`: the string that ends in a state, -1: none; `more`: where to go on."""

    classes: U8
    moves: I32  # (state, class)
    ends: I32
    more: I32

    @classmethod
    def of(cls, strings: Sequence[str]) -> Strings:
        """Looks for `strings`: distinct, not empty, lower case."""
        encoded = [text.encode() for text in strings]
        used = sorted({byte for text in encoded for byte in text})
        classes = np.zeros(256, np.uint8)  # 0: a byte that stands in none of them
        for number, byte in enumerate(used, start=1):
            classes[byte] = number
            if chr(byte).islower() and byte < 128:
                classes[ord(chr(byte).upper())] = number
        tree: list[dict[int, int]] = [{}]
        ends = [-1]
        for number, text in enumerate(encoded):
            state = 0
            for byte in text:
                if (following := tree[state].get(int(classes[byte]))) is None:
                    following = tree[state][int(classes[byte])] = len(tree)
                    tree.append({})
                    ends.append(-1)
                state = following
            ends[state] = number
        moves, more = _linked(tree, ends, len(used) + 1)
        return cls(classes, moves, np.array(ends, np.int32), more)

    def found(self, data: U8, offsets: I32) -> tuple[I32, I32]:
        """Which string stands in which text, as (text, string), each as often as it does; texts are bytes by offset."""
        room = _ROOM
        while True:
            texts, strings = np.empty(room, np.int32), np.empty(room, np.int32)
            many = _scan(data, offsets, self.classes, self.moves, self.ends, self.more, texts, strings)
            if many <= room:
                return texts[:many], strings[:many]
            room = many


def _linked(tree: list[dict[int, int]], ends: list[int], width: int) -> tuple[I32, I32]:
    """All moves of the automaton, and for each state the nearest shorter one in which a string ends; 0: none."""
    moves, more = np.zeros((len(tree), width), np.int32), np.zeros(len(tree), np.int32)
    shorter = [0] * len(tree)
    waiting = deque([0])
    while waiting:
        state = waiting.popleft()
        fallback = shorter[state]
        if state:
            moves[state] = moves[fallback]
            more[state] = fallback if ends[fallback] >= 0 else more[fallback]
        for byte, following in tree[state].items():
            shorter[following] = int(moves[fallback, byte]) if state else 0
            waiting.append(following)
        for byte, following in tree[state].items():
            moves[state, byte] = following
    return moves, more


@compiled
def _scan(data: U8, offsets: I32, classes: U8, moves: I32, ends: I32, more: I32, texts: I32, strings: I32) -> int:
    """What is found goes into `texts` and `strings` as long as there is room; the answer is how much it is."""
    many, room = 0, len(texts)
    for i in range(len(offsets) - 1):
        state = np.int32(0)
        for at in range(offsets[i], offsets[i + 1]):
            state = moves[state, classes[data[at]]]
            told = state if ends[state] >= 0 else more[state]
            while told:
                if many < room:
                    texts[many], strings[many] = i, ends[told]
                many += 1
                told = more[told]
    return many
