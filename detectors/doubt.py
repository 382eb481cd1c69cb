"""What speaks for a client whom evidence would deny: then he is asked, or people are told, and nobody is denied.

    slow        one failed login in five minutes, for five hours at most: apps whose accounts have ended, a shop floor.
                People are told, and nobody is answered who is found by himself; who is part of something larger is
    ended       failures of accounts that were answered well at this address until an hour or two ago, three and more of
                them, each at most once a minute, and hardly any other: a firm's accounts were closed, sessions ended,
                a certificate ran out. There is nobody to stop: people are told
    for others  failures that came with a key, where accounts are signed in with it: a program that asks for people who
                sit before it, a shop's own server, a game's. Sixteen of them and two for each account: people are told
    signed in   answered well at his address in the last hour or two: an account for four failures. Where a class signs
                in, or a house, many mistype; who tries a list is nobody there
    shared      two others met the same error there within an hour or two: a page that a deploy took away, a dead link
    page        signed in himself, and as few errors as one page's parts come to
    links       of what he asked for the first time in the last hour or two, pages that others read as well: one for
                each error, and people are told; one for four, and he is asked. Who follows links comes to where others
                went; who searches finds nothing, or what nobody else asked for
    by hand     nothing is there, five seconds apart and more, for an hour at most: somebody types what a page may be
                called, or a class does; who is refused has come to a door

Evidence is what it is, and people are told: only the answer is milder. Who goes on is denied in the end where
accounts or pages speak for him, as there are only so many; of others' errors the list that scanners share is one as
well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors import walks
from detectors.chances import tagged
from detectors.columns import AUTH_FAILED, CLIENT_ERROR, IP, OK, Fact
from detectors.credential import KEYED
from detectors.cusum import Track
from detectors.entities import Columns, Slots
from detectors.families import HOUR_S, Each, Family, New
from detectors.memories import Memories
from detectors.pairs import firsts, mix
from detectors.rows import Rows
from detectors.sight import Sight

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Index = NDArray[np.intp]
Flag = NDArray[np.bool_]
EACH_FAILS: Final = 4  # failures that an account which is signed in at an address stands for
SLOW_MS: Final = 300_000  # between two failures of somebody who may as well go on: twelve tries an hour
SLOW_S: Final = 18_000  # and so long: who was slow for days may be quick now
ENDED: Final = 3  # accounts that were here, and fail now
ENDED_MS: Final = 60_000  # between two failures of one of them
STRANGE: Final = 4  # of them for each failure of an account that was not
PEOPLE: Final = 16  # failures of a program that is new here, before it is answered
EACH_FOR_OTHERS: Final = 2  # and for each account that it signed in
OTHERS: Final = 2  # who met an error, before it is one that people meet
PARTS: Final = 20  # of a page that is not what it was
MISSES: Final = 4  # errors that a page which others read stands for, before he who found it is denied
HAND_MS: Final = 5_000  # between two addresses that somebody types
HAND_MAX: Final = 200  # of them, before it is more than a class has patience for
HAND_S: Final = 3600  # and so long: who was slow for days may be quick now
_ACCOUNT: Final = np.uint64(31)
_FELL: Final = np.uint64(43)  # an account that was answered well here and failed in this hour
_ERROR: Final = np.uint64(37)  # and how many met it
_SHARED: Final = (
    Fact("shared", 1.0, None, "others met the same errors within the hour: a link or a page of yours, so it is asked"),
)
_PAGE: Final = (
    Fact("signed_in", 1.0, None, "signed in, and no more errors than a page has parts, so nobody is denied"),
)


@dataclass(frozen=True, slots=True)
class Company:
    """Who else was there in a run.

    `came`: rows with an account not signed in at its address for an hour or two. `fell`: failures of one that was, the
    first in its hour; `strange`: those of accounts that were not. `read`: rows of pages new to the
    address, not to others, that were found; `missed`: of those that were errors. `shared`: errors that others met as
    well, by row. `keys`: what to remember.
    """

    came: Index
    fell: Index
    strange: Index
    read: Index
    missed: Index
    shared: Flag
    keys: U64


def company(rows: Rows, sight: Sight, memories: Memories) -> Company:
    """Who else was there, as `memories` and the run have it."""
    f = rows.flows
    signed_in = np.flatnonzero((f.kind == IP) & (f.outcome == OK) & (f.user != 0))
    account = mix(rows.owner[rows.seg[signed_in]], f.user[signed_in], np.full(len(signed_in), _ACCOUNT))
    new = np.flatnonzero(firsts(account))
    new = new[~memories.sampled.contains(account[new])]
    fell, strange, ended = _ended(rows, sight, memories, account)
    asked = sight.new_path & (f.kind == IP)
    read = np.flatnonzero(asked & ~sight.anyone & (f.outcome == OK))
    missed = np.flatnonzero(asked & ((f.outcome == CLIENT_ERROR) | (f.outcome == AUTH_FAILED)))
    shared, met = _errors(rows, memories, missed)
    keys = np.concatenate([account[new], ended, walks.keys(rows, signed_in), met])
    return Company(signed_in[new], fell, strange, read, missed, shared, keys)


def _ended(rows: Rows, sight: Sight, memories: Memories, came: U64) -> tuple[Index, Index, U64]:
    """Failed logins of accounts that were here, the first in its hour, and of others; and keys that keep the former.

    `came`: the keys of accounts that are answered well in this run.
    """
    f, at = rows.flows, sight.logins.failed_at
    at = at[f.kind[at] == IP]
    if not len(at):
        return at, at, np.empty(0, np.uint64)
    owner, user = rows.owner[rows.seg[at]], f.user[at]
    account = mix(owner, user, np.full(len(at), _ACCOUNT))
    here = memories.sampled.contains(account) | np.isin(account, came)
    hour = (f.pane_s[at] // HOUR_S).astype(np.uint64)
    fell = mix(owner, user, mix(np.full(len(at), _FELL), hour))
    once = np.flatnonzero(here)
    once = once[firsts(fell[once])]
    once = once[~memories.sampled.contains(fell[once])]
    return at[once], at[~here], np.concatenate([account[here], fell[once]])


def _errors(rows: Rows, memories: Memories, at: Index) -> tuple[Flag, U64]:
    """Which errors others met in earlier panes, by row; and keys of those that are new.

    `at`: errors on paths new to the owner, so that each is somebody else's.
    """
    f = rows.flows
    shared = np.zeros(len(rows), np.bool_)
    if not len(at):
        return shared, np.empty(0, np.uint64)
    at = at[np.lexsort((f.pane_s[at], f.path[at]))]
    path, pane = f.path[at], f.pane_s[at]
    nth = np.arange(len(at)) - np.searchsorted(path, path)
    begins = np.flatnonzero((np.diff(path, prepend=path[0]) != 0) | (np.diff(pane, prepend=pane[0] - 1) != 0))
    earlier = nth[begins][np.searchsorted(begins, np.arange(len(at)), side="right") - 1]
    keys = [mix(path, np.full(len(at), _ERROR), np.full(len(at), n, np.uint64)) for n in range(1, OTHERS + 1)]
    before = np.sum([memories.sampled.contains(key) for key in keys], axis=0)
    shared[at] = before + earlier >= OTHERS
    place = before + nth  # whose turn it is
    return shared, np.concatenate([key[place == n] for n, key in enumerate(keys)])


@dataclass(frozen=True, slots=True)
class Beside:
    """What was seen at an address in the last hours.

    `accounts` signed in; `fell`: accounts that were, and failed since, counted anew each hour; `strange`: failures of
    accounts that were not; `pages` new to it that others had asked for, and were found; `missed`: new, and errors.
    """

    accounts: int
    fell: int
    strange: int
    pages: int
    missed: int


def counted(c: Columns, slots: Slots, rows: Rows, found: Company) -> None:
    """Accounts that came, and fell, pages that were found, and missed, into their owners' columns (mutates)."""
    for column, at in _columns(c, found):
        np.add.at(column, slots[rows.seg[at]], 1)


def _columns(c: Columns, found: Company) -> tuple[tuple[I64, Index], ...]:
    """What is counted where, in the order of `Beside`."""
    return (
        (c.accounts, found.came), (c.fell, found.fell), (c.strange, found.strange), (c.pages, found.read),
        (c.missed, found.missed),
    )  # fmt: skip


def faded(c: Columns, used: slice) -> None:
    """An hour is over: half of all that is kept (mutates)."""
    for column in (c.accounts, c.fell, c.strange, c.pages, c.missed):
        column[used] //= 2


def beside(c: Columns, slot: int, rows: Rows, found: Company, row: int) -> Beside:
    """What was seen at the address of `row`, whose slot it is, until then."""
    first, counts = rows.starts[rows.seg[row]], []
    for column, at in _columns(c, found):
        begin, end = np.searchsorted(at, [first, row + 1]).tolist()
        counts.append(int(column[slot]) + end - begin)
    return Beside(*counts)


def speaks(family: Family, track: Track, seen: Beside, marked: Index, rows: Rows, found: Company) -> tuple[Fact, ...]:
    """Why who crossed is not denied, empty where nothing speaks for him. `marked`: the rows that are evidence."""
    if family.each is Each.CREDENTIAL:
        if track.marks > EACH_FAILS * seen.accounts:
            return ()
        what = f"{seen.accounts} accounts are signed in at the address as well, for {track.marks} failures"
        return (Fact("signed_in", float(seen.accounts), track.marks / EACH_FAILS, f"{what}: so it is asked"),)
    if family.each is not Each.REQUEST or OK in family.mark.outcomes or not len(marked):
        return ()
    if 2 * found.shared[marked].sum() >= len(marked):
        return _SHARED
    f = rows.flows
    his = (f.user[marked] != 0) & (f.outcome[marked] == CLIENT_ERROR)
    if his.all() and track.marks <= PARTS:
        return _PAGE
    return _searched(family, track, seen, found_nothing=bool((f.outcome[marked] == CLIENT_ERROR).all()))


def _searched(family: Family, track: Track, seen: Beside, *, found_nothing: bool) -> tuple[Fact, ...]:
    """Why who met errors on pages new to him is asked: enough others that people read, or the pace of a hand."""
    if family.mark.new is not New.PATH:
        return ()
    if MISSES * seen.pages >= seen.missed:
        return (_links(seen, "so it is asked"),)
    took_ms, each_ms = track.last_mark_ms - track.first_ms, _apart_ms(track)
    if not found_nothing or each_ms < HAND_MS or track.marks > HAND_MAX or took_ms > HAND_S * 1000:
        return ()
    what = f"one error in {each_ms / 1000:.0f} s, as when somebody types what a page may be called: so it is asked"
    return (Fact("by_hand", each_ms / 1000, HAND_MS / 1000, what),)


def slow(family: Family, track: Track) -> tuple[Fact, ...]:
    """Why people are told of failed logins and nobody is answered; empty for nothing."""
    each_ms, took_ms = _apart_ms(track), track.last_mark_ms - track.first_ms
    if family.each is not Each.CREDENTIAL or each_ms < SLOW_MS or took_ms > SLOW_S * 1000:
        return ()
    what = f"one failure in {each_ms / 60_000:.0f} min: nothing a denial would have to stop, so people are told"
    return (Fact("slow", each_ms / 1000, SLOW_MS / 1000, what),)


def ended(family: Family, track: Track, seen: Beside) -> tuple[Fact, ...]:
    """Why people are told of failures of accounts that were signed in here, and nobody is answered; empty for nothing.

    Who holds so many sessions at one address may try each account's password once a minute, and a stranger's for four.
    """
    if family.each is not Each.CREDENTIAL or seen.fell < ENDED or STRANGE * seen.strange > seen.fell:
        return ()
    if _apart_ms(track) * seen.fell < ENDED_MS:
        return ()
    what = f"{seen.fell} accounts that were signed in at the address fail there now, hardly any other: their sessions"
    return (Fact("ended", float(seen.fell), float(ENDED), f"{what} have ended, so people are told"),)


def unfelt(track: Track) -> tuple[Fact, ...]:
    """Why who is refused with one credential everywhere is told of and not throttled; empty for nothing.

    He asks so seldom that a throttle would hold back only what he asks for once he is set up rightly.
    """
    each_ms = _apart_ms(track)
    if each_ms < HAND_MS:
        return ()
    what = f"one refusal in {each_ms / 1000:.0f} s: a throttle would be felt only once its key is good again"
    return (Fact("unfelt", each_ms / 1000, HAND_MS / 1000, f"{what}, so people are told"),)


def for_others(family: Family, track: Track, seen: Beside, tags: U64, *, alone: bool) -> tuple[Fact, ...]:
    """Why people are told of failures that came with a key, and nobody is answered; empty for nothing.

    `tags`: those of the rows that are evidence. Who is not found `alone` has what he signed in, and no more: who takes
    a thousand addresses tries a few accounts at each.
    """
    if family.each is not Each.CREDENTIAL or not tagged(tags, KEYED).all():
        return ()
    most = EACH_FOR_OTHERS * seen.accounts + (PEOPLE if alone else 0)
    if track.marks > most:
        return ()
    what = f"they came with a key, as a program asks for people, and {seen.accounts} accounts are signed in there"
    return (Fact("for_others", float(track.marks), float(most), f"{what}: up to {most} of them people are told"),)


def _apart_ms(track: Track) -> float:
    return (track.last_mark_ms - track.first_ms) / max(1, track.marks - 1)


def follows(family: Family, seen: Beside) -> tuple[Fact, ...]:
    """Why people are told of errors on pages new to an address and nobody is answered; empty for nothing."""
    errors = family.each is Each.REQUEST and family.mark.new is New.PATH and OK not in family.mark.outcomes
    return (_links(seen, "people are told"),) if errors and seen.pages >= seen.missed else ()


def _links(seen: Beside, so: str) -> Fact:
    what = f"it found {seen.pages} pages that others read as well, beside {seen.missed} errors"
    return Fact("links", float(seen.pages), float(seen.missed), f"{what}, as who follows old links: {so}")
