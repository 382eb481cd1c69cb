"""The loops of `stream.distinct`: sets of marks, each with the second it was last seen in, in one heap of words.

    form 0  nothing
    form 1  one mark and its second, in place of the page's place
    form 2, 3, 4  a page of 4, 16, 64 marks and seconds
    form 5  a page of cells (`stream.cells`), two seconds a word: when each was last set

A second only ever grows, so neither the order in which marks come nor their repeating matters, and any window can be
asked for. `n` counts: entries, words used and in use, first free page by form, pages in use by form.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from stream.cells import COLUMNS, ROWS, U32, cell, likeliest, mark_of
from stream.compiled import I32, I64, U8, U64

F64 = NDArray[np.float64]
Sets = tuple[U8, U64, U64, I64]  # form and place by entry and what; the heap; `n`
WHATS: Final = 5
CELLED: Final = 5
WORDS_OF: Final = np.array([0, 0, 4, 16, 64, COLUMNS * ROWS // 2])  # by form
USED, LIVE, FREE, PAGES, NUMBERS = 1, 2, 3, 9, 15  # in `n`, behind `dated_entries.ENTRIES`
_U0, _U1, _U32 = (np.uint64(v) for v in (0, 1, 32))
_FEW: Final = 256
_LOW: Final = np.uint64((1 << 32) - 1)
_PLACE: Final = np.uint64(58)  # of a word, its upper six bits say where in a page it is looked for first


@compiled
def _page(form: int, heap: U64, n: I64) -> int:
    """A page of zeros, -1 where the heap is full."""
    size, page = WORDS_OF[form], n[FREE + form] - 1
    if page >= 0:
        n[FREE + form] = np.int64(heap[page])
    elif n[USED] + size <= len(heap):
        page = n[USED]
        n[USED] += size
    else:
        return -1
    heap[page : page + size] = _U0
    n[LIVE] += size
    n[PAGES + form] += 1
    return int(page)


@compiled
def _free(form: int, page: int, heap: U64, n: I64) -> None:
    heap[page] = np.uint64(n[FREE + form])
    n[FREE + form] = page + 1
    n[LIVE] -= WORDS_OF[form]
    n[PAGES + form] -= 1


@compiled
def _date(page: int, c: int, second: np.uint64, heap: U64) -> None:
    at, shift = page + (c >> 1), np.uint64((c & 1) * 32)
    if (heap[at] >> shift) & _LOW < second:
        heap[at] = heap[at] & ~(_LOW << shift) | second << shift


@compiled
def _kept(form: int, page: int, word: np.uint64, heap: U64) -> bool:
    """Put a mark and its second into a page, from the place on that the mark names; False where it is full."""
    mask = WORDS_OF[form] - 1
    at = np.int64(word >> _PLACE)
    for step in range(mask + 1):
        j = page + (at + step & mask)
        if heap[j] == 0 or heap[j] >> _U32 == word >> _U32:
            heap[j] = max(heap[j], word)
            return True
    return False


@compiled
def _grown(e: int, what: int, form: int, sets: Sets) -> bool:
    """A set in a larger form (its page is given up); False where the heap is full."""
    forms, refs, heap, n = sets
    page = _page(form, heap, n)
    if page < 0:
        return False
    was, old = forms[e, what], refs[e, what]
    base = int(old)
    for j in range(max(WORDS_OF[was], 1 if was == 1 else 0)):
        word = old if was == 1 else heap[base + j]
        if word == 0:
            continue
        if form < CELLED:
            _kept(form, page, word, heap)
        else:
            _date(page, cell(int(word >> _U32)), word & _LOW, heap)
    if was > 1:
        _free(was, base, heap, n)
    forms[e, what], refs[e, what] = form, np.uint64(page)
    return True


@compiled
def _put(e: int, w: int, mark: np.uint32, second: np.uint64, sets: Sets) -> bool:
    """Put one mark into a set of an entry; False where the heap has no room."""
    forms, refs, heap, _ = sets
    word = np.uint64(mark) << _U32 | second
    if forms[e, w] == 0:
        forms[e, w], refs[e, w] = 1, word
    elif forms[e, w] == 1 and refs[e, w] >> _U32 == word >> _U32:
        refs[e, w] = max(refs[e, w], word)
    else:
        while forms[e, w] < CELLED and (forms[e, w] == 1 or not _kept(forms[e, w], int(refs[e, w]), word, heap)):
            if not _grown(e, w, forms[e, w] + 1, sets):
                return False
        if forms[e, w] == CELLED:
            _date(int(refs[e, w]), cell(int(mark)), second, heap)
    return True


@compiled
def put(  # noqa: C901 - written out where it is hot, see below
    start: int, entry: I32, what: U8, item: U32, at_s: I64, sets: Sets
) -> int:
    """Put marks into sets of entries, from row `start` on; 0 is none. Gives the row for which the heap had no room.

    Where nothing has to grow, which is nearly everywhere, no function is called: each that is handed arrays counts
    references to them, atomically, and that is most of what a row would cost.
    """
    forms, refs, heap, _ = sets
    for i in range(start, len(entry)):
        e, w, mark = entry[i], what[i], np.uint64(item[i])
        if e < 0 or mark == 0:
            continue
        form, ref, word, known = forms[e, w], refs[e, w], mark << _U32 | np.uint64(at_s[i]), False
        if form == 1:
            known = ref >> _U32 == mark
            if known and ref < word:
                refs[e, w] = word
        elif form == 0:
            forms[e, w], refs[e, w], known = 1, word, True
        elif form < CELLED:
            page, mask, first = np.int64(ref), WORDS_OF[form] - 1, np.int64(word >> _PLACE)
            for step in range(mask + 1):
                j = page + (first + step & mask)
                held = heap[j]
                if held == 0 or held >> _U32 == mark:
                    if held < word:
                        heap[j] = word
                    known = True
                    break
        else:
            c, known = cell(int(item[i])), True
            j, shift = np.int64(ref) + (c >> 1), np.uint64((c & 1) * 32)
            if (heap[j] >> shift) & _LOW < np.uint64(at_s[i]):
                heap[j] = heap[j] & ~(_LOW << shift) | np.uint64(at_s[i]) << shift
        if not known and not _put(e, w, item[i], np.uint64(at_s[i]), sets):
            return i
    return len(entry)


@compiled
def put_flows(start: int, entry: I32, first: U8, at_s: I64, hashes: tuple[U64, ...], sets: Sets) -> int:
    """`put` of the values of flows, in the order of `usage.What`; of each row those from its `first` on.

    The sets of an entity stand together, so a few rows are gone through for all of them. Where one finds no room those
    rows are put again: that changes nothing.
    """
    item, what = np.empty(_FEW, np.uint32), np.empty(_FEW, np.uint8)
    for begin in range(start, len(entry), _FEW):
        end = min(begin + _FEW, len(entry))
        few = end - begin
        for w in range(WHATS):
            column = hashes[w]
            what[:] = w
            for i in range(few):
                item[i] = mark_of(column[begin + i]) if w >= first[begin + i] else 0
            if put(0, entry[begin:end], what[:few], item[:few], at_s[begin:end], sets) < few:
                return begin
    return len(entry)


@compiled
def put_words(start: int, entry: I32, what: U8, number: U8, item: U32, at_s: I64, sets: Sets) -> int:
    """Set the cells of words, as `put` does marks; `number`: which word of its set each is."""
    forms, refs, heap, _ = sets
    for i in range(start, len(entry)):
        e, w = entry[i], what[i]
        if e < 0:
            continue
        if forms[e, w] < CELLED and not _grown(e, w, CELLED, sets):
            return i
        for bit in range(32):
            if item[i] >> np.uint32(bit) & np.uint32(1):
                c = int(number[i]) * 32 + bit
                _date(int(refs[e, w]), c, np.uint64(at_s[i]), heap)
    return len(entry)


@compiled
def counted(entry: I32, what: int, since_s: int, sets: Sets) -> F64:
    """How many marks of each set were seen in `since_s` or later: exactly, or of cells the likeliest number."""
    forms, refs, heap, _ = sets
    out, since = np.zeros(len(entry)), np.uint64(since_s)
    empty = np.empty(ROWS, np.int64)
    for i in range(len(entry)):
        e = entry[i]
        form = forms[e, what] if e >= 0 else 0
        base = np.int64(refs[e, what]) if form > 1 else 0
        if form == 1:
            out[i] = refs[e, what] & _LOW >= since
        elif form == CELLED:
            for row in range(ROWS):
                held = np.int64(0)
                for j in range(base + row * COLUMNS // 2, base + (row + 1) * COLUMNS // 2):
                    held += np.int64(heap[j] & _LOW >= since) + np.int64(heap[j] >> _U32 >= since)
                empty[row] = COLUMNS - held
            out[i] = likeliest(empty)
        elif form > 1:
            for j in range(WORDS_OF[form]):
                out[i] += heap[base + j] & _LOW >= since and heap[base + j] != 0
    return out


@compiled
def _laid(form: int, page: int, words: U64, heap: U64) -> None:
    for j in range(len(words)):
        if form == CELLED:
            heap[page + j] = words[j]
        else:
            _kept(form, page, words[j], heap)


@compiled
def moved(keep: I64, since_s: int, sets: Sets, into: Sets) -> None:
    """Sets of the entries in `keep` without what was last seen before `since_s`, in a heap that has room."""
    forms, refs, heap, _ = sets
    to_forms, to_refs, to_heap, n = into
    since = np.uint64(since_s)
    live = np.empty(WORDS_OF[CELLED], np.uint64)
    for k in range(len(keep)):
        for w in range(WHATS):
            form, base, count = forms[keep[k], w], np.int64(refs[keep[k], w]), 0
            for j in range(max(WORDS_OF[form], 1 if form == 1 else 0)):
                word = refs[keep[k], w] if form == 1 else heap[base + j]
                if form == CELLED:
                    low = word & _LOW if word & _LOW >= since else _U0
                    high = word >> _U32 if word >> _U32 >= since else _U0
                    live[j] = high << _U32 | low
                    count += live[j] != 0
                elif word & _LOW >= since and word != 0:
                    live[count] = word
                    count += 1
            if count == 0:
                continue
            if form < CELLED:
                form = 1 if count == 1 else 2 if count <= 4 else 3 if count <= 16 else 4
            to_forms[k, w] = form
            if form == 1:
                to_refs[k, w] = live[0]
                continue
            page = _page(form, to_heap, n)
            to_refs[k, w] = np.uint64(page)
            _laid(form, page, live[: WORDS_OF[form] if form == CELLED else count], to_heap)
