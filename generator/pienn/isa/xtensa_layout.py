"""Layout of an Xtensa code section, with the same result as GNU as.

Four things change the size of Xtensa code after it was parsed:

* a branch that cannot reach its target grows (`beqz.n` to `beqz`, any conditional branch to the opposite
  branch over a jump), and so does a loop of more than 256 bytes;
* the first instruction of a zero-overhead loop must not straddle a 4-byte fetch word, so nops go before
  the loop instruction;
* a target of a conditional branch, and the instruction after a call, should not straddle a fetch word
  either: 16-bit instructions before it are widened, one byte each, and room that no path reaches (after a
  jump) is filled;
* `.align` pads.

All of them move each other, so the sizes are found by repeated passes over the section. To reach the sizes that
GNU as reaches, the section is cut into the same fragments: some fixed bytes and at most one variable tail.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Generic, TypeVar

FETCH_WIDTH = 4
NARROW_BRANCH_REACH = 65  # bytes from the end of beqz.n/bnez.n to the farthest target
MAXIMUM_LOOP_BYTES = 256
RELAXED_LOOP_REST = 24  # bytes of the long form between the loop instruction and the loop body
TRAMPOLINE_INTERVAL = 10  # GNU as reserves room for far jumps after so many unreachable places
TRAMPOLINE_BYTES = 3000

Payload = TypeVar("Payload")


class Tail(Enum):
    """What may follow the fixed bytes of a fragment."""

    NOTHING = auto()
    ALIGN = auto()
    ORIGIN = auto()
    NARROW = auto()  # a 16-bit instruction that may be widened for alignment
    GROWING = auto()  # an instruction whose form depends on the distance of its target
    LOOP_ALIGN = auto()  # nops before a loop instruction
    ALIGN_TARGET = auto()  # a place that should not straddle a fetch word
    ALIGN_IF_TARGET = auto()  # the same, if it turns out to be the target of a branch
    UNREACHABLE = auto()  # after a jump: may be padded
    AFTER_BRANCH = auto()  # after a conditional branch: neither padded nor aligned
    LOOP_END = auto()  # gets a nop when the branch before it grows, for a loop must not end on a jump
    TRAMPOLINE = auto()  # ends the search for a place to align


@dataclass(frozen=True)
class Form(Generic[Payload]):
    """One way to encode a statement: its size, and the distances of the target that it reaches."""

    size: int
    minimum: int
    maximum: int
    payload: Payload


@dataclass
class Piece(Generic[Payload]):
    """Fixed bytes of a fragment: one instruction, or data."""

    size: int
    payload: Payload
    is_code: bool = True
    first_size: int = 0  # of data: the length of the instruction that its first byte would start
    owner: object = None


@dataclass(eq=False)
class Fragment(Generic[Payload]):
    """Fixed bytes (`pieces`, `size`) and a tail; with the tails NARROW and GROWING the last piece is what varies."""

    pieces: list[Piece[Payload]] = field(default_factory=list)
    size: int = 0
    owner: object = None
    tail: Tail = Tail.NOTHING
    growth: int = 0  # bytes of the tail beyond `size`, at present
    largest_growth: int = 0  # as many as it can become
    address: int = 0
    visited: bool = (
        False  # flips in each pass, so that places behind the present one are told from those before
    )
    seen: bool = False  # whether a pass came here; tails that only align wait for the second one
    transform: bool = True
    is_branch_target: bool = False
    is_aligning_branch: bool = False  # a 16-bit branch that may be widened like other 16-bit instructions
    forms: tuple[Form[Payload], ...] = ()
    step: int = 0  # the form taken; of LOOP_END: whether a nop is needed
    target: object = None
    alignment: int = 1  # of ALIGN, with the padding beyond which nothing is aligned
    longest_fill: int | None = None
    origin: object = None
    loop_offset: int | None = None  # offset of the loop instruction in the long form; None: no loop
    on_grow: Callable[[], None] | None = None

    @property
    def starts_with_variable(self) -> bool:
        """Whether the instruction that may change is the only one of the fragment."""
        return len(self.pieces) == 1

    def fix(self) -> None:
        """Make the fragment's size final."""
        self.tail = Tail.NOTHING
        self.growth = 0


class Layout(Generic[Payload]):
    """One section under construction. Payloads are the caller's: they come back with their final offsets.

    `resolve(target)` gives (fragment, offset) of a place in this section, or None for places elsewhere;
    `nop(size)` gives the payload of a 2- or 3-byte nop. `unreachable_count` goes on from the section before.
    """

    def __init__(
        self,
        resolve: Callable[[object], tuple[Fragment[Payload], int] | None],
        nop: Callable[[int], Payload],
        unreachable_count: int = 0,
    ) -> None:
        self.resolve = resolve
        self.nop = nop
        self.fragments: list[Fragment[Payload]] = [Fragment()]
        self.unreachable_count = unreachable_count  # since the last trampoline
        self.index: dict[int, int] = {}
        self.owner: object = None  # whom the bytes added now belong to

    # ------------------------------------------------------------------ building, in program order

    @property
    def now(self) -> Fragment[Payload]:
        return self.fragments[-1]

    def close(self, tail: Tail = Tail.NOTHING) -> Fragment[Payload]:
        """End the current fragment with a tail and start another; returns the ended one."""
        ended = self.now
        ended.tail = tail
        ended.owner = self.owner
        self.fragments.append(Fragment())
        return ended

    def place(self) -> tuple[Fragment[Payload], int]:
        """The current place, for a label that aligns nothing."""
        return self.now, self.now.size

    def label(self, is_branch_target: bool, is_loop_target: bool, aligning: bool) -> None:
        """A label that marks the start of a fragment."""
        if is_loop_target:
            self.close(Tail.LOOP_END).largest_growth = 4
        self.close(Tail.ALIGN_IF_TARGET if aligning else Tail.NOTHING)
        self.now.is_branch_target |= is_branch_target

    def data(self, size: int, payload: Payload, first_size: int = 0) -> None:
        self._end_code()
        self._append(Piece(size, payload, is_code=False, first_size=first_size))

    def _end_code(self) -> None:
        if self.now.size and self.now.pieces[-1].is_code:
            self.close()

    def align(self, alignment: int, longest_fill: int | None) -> Fragment[Payload]:
        self._end_code()
        ended = self.close(Tail.ALIGN)
        ended.alignment = alignment
        ended.longest_fill = longest_fill
        return ended

    def move_to(self, origin: object) -> None:
        self._end_code()
        self.close(Tail.ORIGIN).origin = origin

    def prepare_code(self, transform: bool, specific: bool) -> None:
        """Before an instruction: separate it from data and from code under other rules."""
        now = self.now
        if now.size and (
            not now.pieces[-1].is_code or (specific and transform) or transform != now.transform
        ):
            self.close()
        self.now.transform = transform

    def loop_alignment(self, transform: bool) -> None:
        """Room for nops before a loop instruction."""
        ended = self.close(Tail.LOOP_ALIGN if transform else Tail.NOTHING)
        ended.largest_growth = 1 + FETCH_WIDTH
        self.now.transform = transform

    def code(self, piece: Piece[Payload]) -> None:
        """An instruction whose form is final."""
        self._append(piece)

    def narrow(self, piece: Piece[Payload], wide: Payload) -> None:
        """A 16-bit instruction that may be widened to `wide`."""
        self._append(piece)
        ended = self.close(Tail.NARROW)
        ended.largest_growth = 1
        ended.forms = (Form(2, 0, 0, piece.payload), Form(3, 0, 0, wide))

    def growing(
        self,
        forms: tuple[Form[Payload], ...],
        largest_growth: int,
        target: object,
        loop_offset: int | None = None,
        on_grow: Callable[[], None] | None = None,
    ) -> None:
        """An instruction with several forms, the first one that reaches the target is taken."""
        self._append(Piece(forms[0].size, forms[0].payload))
        ended = self.close(Tail.GROWING)
        ended.forms, ended.target = forms, target
        ended.largest_growth = largest_growth
        ended.loop_offset, ended.on_grow = loop_offset, on_grow

    def after_jump(self) -> None:
        ended = self.close(Tail.UNREACHABLE)
        ended.largest_growth = FETCH_WIDTH
        self.unreachable_count += 1
        if self.unreachable_count > TRAMPOLINE_INTERVAL:
            self.unreachable_count = 0
            self.close()
            self.close(Tail.TRAMPOLINE).largest_growth = TRAMPOLINE_BYTES

    def after_branch(self) -> None:
        self.close(Tail.AFTER_BRANCH).largest_growth = FETCH_WIDTH
        self.close(Tail.AFTER_BRANCH)

    def after_call(self) -> None:
        self.close(Tail.ALIGN_TARGET).largest_growth = 4

    def _append(self, piece: Piece[Payload]) -> None:
        piece.owner = self.owner
        self.now.pieces.append(piece)
        self.now.size += piece.size

    # ------------------------------------------------------------------ before the passes

    def _prepare(self) -> None:
        fragments = self.fragments
        for number, fragment in enumerate(fragments):
            if fragment.size == 0 and fragment.tail in (Tail.ALIGN, Tail.ALIGN_TARGET, Tail.ALIGN_IF_TARGET):
                for following in itertools.islice(fragments, number + 1, None):
                    if following.size or following.tail is not Tail.ALIGN_IF_TARGET:
                        break
                    following.fix()
            if fragment.is_branch_target and fragment.tail is Tail.NARROW and fragment.starts_with_variable:
                fragment.fix()
        self.index = {id(f): i for i, f in enumerate(fragments)}
        for fragment in fragments:
            if fragment.tail is Tail.ALIGN_IF_TARGET:
                if self._next_is_branch_target(fragment):
                    fragment.tail = Tail.ALIGN_TARGET
                    fragment.largest_growth = 0
                else:
                    fragment.fix()
        for fragment in fragments:
            if (
                fragment.tail is Tail.GROWING
                and fragment.loop_offset is None
                and fragment.forms[0].size == 2
                and self._surely_reaches(fragment)
            ):
                fragment.tail = Tail.NARROW
                fragment.is_aligning_branch = True
        for fragment in fragments:
            if fragment.tail is Tail.LOOP_ALIGN:
                self._keep_first_loop_instruction(fragment)

    def _keep_first_loop_instruction(self, fragment: Fragment[Payload]) -> None:
        """Widening the first instruction of a loop would make the loop harder to align."""
        loop = self._next_filled(fragment)
        first = self._next_filled(loop) if loop else None
        if first is None or loop is None:
            return
        for between in self.fragments[self.index[id(loop)] : self.index[id(first)]]:
            if between.tail is Tail.LOOP_ALIGN:
                return
        if first.tail is Tail.NARROW:
            if first.is_aligning_branch:
                first.tail = Tail.GROWING
            else:
                first.fix()

    def _surely_reaches(self, fragment: Fragment[Payload]) -> bool:
        """Whether a 16-bit branch reaches its target however the code between them grows."""
        place = self.resolve(fragment.target)
        if place is None or self._branches_to_next(fragment, place):
            return False
        target, distance = place
        number = self.index[id(fragment)] + 1
        while number < len(self.fragments) and self.fragments[number] is not target:
            between = self.fragments[number]
            distance += between.size
            if between.tail not in (Tail.ALIGN_TARGET, Tail.ALIGN, Tail.ORIGIN):
                distance += between.largest_growth
            if distance > NARROW_BRANCH_REACH:
                return False
            number += 1
        return distance <= NARROW_BRANCH_REACH and number < len(self.fragments)

    def _branches_to_next(self, fragment: Fragment[Payload], place: tuple[Fragment[Payload], int]) -> bool:
        target, offset = place
        for following in self._after(fragment):
            if following is target:
                return offset == 0
            if following.size:
                return False
        return False

    def _next_is_branch_target(self, fragment: Fragment[Payload]) -> bool:
        for following in self._after(fragment):
            if following.is_branch_target:
                return True
            if following.size:
                return False
        return False

    def _after(self, fragment: Fragment[Payload]) -> Iterator[Fragment[Payload]]:
        for number in range(self.index[id(fragment)] + 1, len(self.fragments)):
            yield self.fragments[number]

    def _next_filled(self, fragment: Fragment[Payload]) -> Fragment[Payload] | None:
        return next((f for f in self._after(fragment) if f.size), None)

    # ------------------------------------------------------------------ the passes

    def relax(self, value_of: Callable[[object], int]) -> None:
        """Find all sizes. `value_of` evaluates the operand of `.org`."""
        self._prepare()
        address = 0
        for fragment in self.fragments:
            fragment.address = address
            address += fragment.size + fragment.growth
            if fragment.tail is Tail.ALIGN:
                fragment.growth = _fill(address, fragment)
                address += fragment.growth
        for _ in range(len(self.fragments) ** 2 + 2):
            if not self._pass(value_of):
                return
        raise RuntimeError("the layout of the section does not settle")

    def _pass(self, value_of: Callable[[object], int]) -> bool:
        stretch = 0
        changed = False
        for fragment in self.fragments:
            fragment.visited = not fragment.visited
            fragment.address += stretch
            growth = 0
            tail = fragment.tail
            if tail is Tail.ALIGN:
                fill = _fill(fragment.address + fragment.size, fragment)
                growth = fill - fragment.growth
                fragment.growth = fill
            elif tail is Tail.ORIGIN:
                fill = max(0, value_of(fragment.origin) - fragment.address - fragment.size)
                growth = fill - fragment.growth
                fragment.growth = fill
            elif tail is Tail.GROWING:
                growth = self._grow(fragment, stretch)
            elif tail is Tail.LOOP_END and fragment.step:
                growth = 2
                fragment.pieces.append(Piece(growth, self.nop(growth), owner=fragment.owner))
                fragment.size += growth
                fragment.fix()
            elif tail is Tail.LOOP_ALIGN and fragment.seen:
                fill = self._loop_fill(fragment)
                growth = fill - fragment.growth
                fragment.growth = fill
            elif tail in (Tail.NARROW, Tail.UNREACHABLE) and fragment.seen:
                growth = self._grow_for_alignment(fragment, stretch)
            if tail not in (Tail.NOTHING, Tail.ALIGN, Tail.ORIGIN) and not fragment.seen:
                fragment.seen = True
                changed = True
            if growth:
                stretch += growth
                changed = True
        return changed

    def _grow(self, fragment: Fragment[Payload], stretch: int) -> int:
        """Take the smallest form that reaches the target; never go back to a smaller one."""
        start = fragment.address + fragment.size - fragment.forms[0].size
        place = self.resolve(fragment.target)
        last = len(fragment.forms) - 1
        step = fragment.step
        while step < last:
            form = fragment.forms[step]
            if place is not None:
                target, offset = place
                distance = target.address + offset - start
                if target.visited != fragment.visited:
                    distance += stretch
                if form.minimum <= distance <= form.maximum:
                    break
            step += 1
        if step != fragment.step and fragment.on_grow and step == last:
            fragment.on_grow()
        fragment.step = step
        size = fragment.forms[step].size
        if fragment.loop_offset is None and size > 3:
            self._protect_loop_end(fragment)
        growth = size - fragment.forms[0].size - fragment.growth
        fragment.growth += growth
        return growth

    def _protect_loop_end(self, fragment: Fragment[Payload]) -> None:
        for following in self._after(fragment):
            if following.size:
                return
            if following.tail is Tail.LOOP_END:
                following.step = 1
                return

    def first_size(self, fragment: Fragment[Payload] | None) -> int | None:
        """Size of the first instruction of a fragment in its present form."""
        if fragment is None:
            return None
        first = fragment.pieces[0]
        if not first.is_code:
            return first.first_size
        if not fragment.starts_with_variable or fragment.tail not in (Tail.NARROW, Tail.GROWING):
            return first.size
        if fragment.tail is Tail.NARROW:
            return 2 + fragment.growth
        if fragment.step:
            size = first.size + fragment.growth
            return size if size <= 4 else 3
        return first.size

    def _loop_fill(self, fragment: Fragment[Payload]) -> int:
        """Bytes of nops that keep the first instruction of the loop body in one fetch word."""
        loop = self._next_filled(fragment)
        assert loop is not None and loop.loop_offset is not None
        before = 3
        if loop.step:
            before += loop.loop_offset + RELAXED_LOOP_REST
        size = self.first_size(self._next_filled(loop)) or FETCH_WIDTH
        start = fragment.address + fragment.size + before
        return next(f for f in (0, 2, 3, 4, 5) if _in_one_word(start + f, size))

    # ------------------------------------------------------------------ widening for alignment

    def _grow_for_alignment(self, fragment: Fragment[Payload], stretch: int) -> int:
        wanted = self._wanted_growth(fragment, stretch)
        growth = wanted - fragment.growth
        if growth < 0 and not (stretch > 0 and -growth <= stretch):
            return 0
        fragment.growth = wanted
        return growth

    def _wanted_growth(self, fragment: Fragment[Payload], stretch: int) -> int:
        number, address, widenable, paddable = self._next_place_to_align(self.index[id(fragment)])
        if address is None:
            if fragment.growth:
                return fragment.growth
            if fragment.is_aligning_branch:
                fragment.tail = Tail.GROWING
            else:
                fragment.fix()
            return 0
        local, limit = self._distance_to_alignment(self.fragments[number], address)
        wanted = local
        if limit == 0:
            return 0
        number += 1
        while number < len(self.fragments) and wanted < limit:
            number, address, more, padding = self._next_place_to_align(number)
            if address is None or padding or more >= FETCH_WIDTH:
                break
            address += stretch - fragment.growth + wanted
            next_wanted, next_limit = self._distance_to_alignment(self.fragments[number], address)
            next_wanted += wanted
            next_limit += wanted
            if wanted < next_wanted <= limit:
                wanted = next_wanted
            limit = min(limit, next_limit)
            number += 1
        if paddable:
            return wanted if fragment.tail is Tail.UNREACHABLE else 0
        return max(_widen(local, widenable), _widen(wanted, widenable))

    def _next_place_to_align(self, number: int) -> tuple[int, int | None, int, bool]:
        """From a fragment on: (number of the fragment to align, its address without any widening, ...).

        The address is None where nothing can be aligned; the other results are the count of instructions
        that could be widened before it and whether there is room for padding.
        """
        widenable = 0
        paddable = False
        if number >= len(self.fragments):
            return number, None, 0, False
        address = self.fragments[number].address
        while number < len(self.fragments):
            fragment = self.fragments[number]
            if widenable >= FETCH_WIDTH:
                return number, None, widenable, paddable
            address += fragment.size
            tail = fragment.tail
            if tail is Tail.UNREACHABLE:
                paddable = True
            elif tail is Tail.NARROW:
                widenable += 1
            elif tail is Tail.GROWING:
                address += fragment.growth
            elif tail in (Tail.LOOP_ALIGN, Tail.ALIGN_TARGET):
                return number, address, widenable, paddable
            elif tail not in (Tail.NOTHING, Tail.AFTER_BRANCH):
                return number, None, widenable, paddable
            number += 1
        return number, None, widenable, paddable

    def _distance_to_alignment(self, fragment: Fragment[Payload], address: int) -> tuple[int, int]:
        """Bytes to insert before the place, smallest and largest number that align it."""
        following = self._next_filled(fragment)
        if fragment.tail is Tail.ALIGN_TARGET:
            size = min(self.first_size(following) or 3, FETCH_WIDTH)
        else:
            assert following is not None and following.loop_offset is not None
            size = self.first_size(self._next_filled(following)) or FETCH_WIDTH
            address += 3 + (following.loop_offset if following.step else 0)
        fill = next(f for f in range(FETCH_WIDTH) if _in_one_word(address + f, size))
        return fill, fill + FETCH_WIDTH - (address + fill) % FETCH_WIDTH - size

    # ------------------------------------------------------------------ the result

    def result(self) -> Iterator[tuple[int, int, object, Payload | None]]:
        """(offset, size, owner, payload) in order of address; payload None is padding with zeros."""
        for fragment in self.fragments:
            address = fragment.address
            variable = fragment.tail in (Tail.NARROW, Tail.GROWING)
            for piece in fragment.pieces[:-1] if variable else fragment.pieces:
                yield address, piece.size, piece.owner, piece.payload
                address += piece.size
            owner = fragment.owner
            if variable:
                form = fragment.forms[fragment.step if fragment.tail is Tail.GROWING else fragment.growth]
                yield address, form.size, owner, form.payload
            elif fragment.tail is Tail.LOOP_ALIGN:
                fill = fragment.growth
                while fill:
                    size = 2 if fill in (2, 4) else 3
                    yield address, size, owner, self.nop(size)
                    address += size
                    fill -= size
            elif fragment.growth:
                yield address, fragment.growth, owner, None

    @property
    def total(self) -> int:
        last = self.fragments[-1]
        return last.address + last.size + last.growth


def _fill(address: int, fragment: Fragment[Payload]) -> int:
    fill = -address % fragment.alignment
    return 0 if fragment.longest_fill is not None and fill > fragment.longest_fill else fill


def _in_one_word(address: int, size: int) -> bool:
    return address // FETCH_WIDTH == (address + size - 1) // FETCH_WIDTH


def _widen(wanted: int, widenable: int) -> int:
    """Whether one of `widenable` instructions must be widened to move a place by `wanted` bytes."""
    return 1 if wanted and wanted == widenable else 0
