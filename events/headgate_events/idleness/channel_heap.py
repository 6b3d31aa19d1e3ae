"""A heap whose members know their places, so that any of them moves or leaves in O(log n).

Watermarks of channels in the middle change all the time. A heap with stale entries would be O(log n) only on average
and would grow between clean-ups; with places in the members every single step is bounded, and so is the memory.
"""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

NOWHERE: Final = -1


class Placed(Protocol):
    """A member: `place` belongs to the one heap that holds it, and is `NOWHERE` outside."""

    place: int


M = TypeVar("M", bound=Placed)


class ChannelHeap(Generic[M]):
    """Members with integer keys, the smallest on top. A member is in one heap at most, once."""

    __slots__ = ("_keys", "_members")

    def __init__(self) -> None:
        self._keys: list[int] = []
        self._members: list[M] = []

    def __len__(self) -> int:
        return len(self._keys)

    def least(self) -> int | None:
        """Return the smallest key, or None when the heap is empty."""
        return self._keys[0] if self._keys else None

    def add(self, member: M, key: int) -> None:
        """Put in a member that is in no heap."""
        assert member.place == NOWHERE
        self._keys.append(key)
        self._members.append(member)
        self._rise(len(self._keys) - 1, member, key)

    def raise_key(self, member: M, key: int) -> None:
        """Give a member of this heap a key that is not below its present one."""
        assert self._members[member.place] is member
        self._sink(member.place, member, key)

    def remove(self, member: M) -> None:
        """Take out a member of this heap."""
        place = member.place
        assert self._members[place] is member
        member.place = NOWHERE
        key, last = self._keys.pop(), self._members.pop()
        if last is member:
            return
        if place and key < self._keys[(place - 1) >> 1]:
            self._rise(place, last, key)
        else:
            self._sink(place, last, key)

    def _rise(self, place: int, member: M, key: int) -> None:
        keys, members = self._keys, self._members
        while place:
            above = (place - 1) >> 1
            if keys[above] <= key:
                break
            keys[place] = keys[above]
            moved = members[above]
            members[place] = moved
            moved.place = place
            place = above
        keys[place] = key
        members[place] = member
        member.place = place

    def _sink(self, place: int, member: M, key: int) -> None:
        keys, members = self._keys, self._members
        size = len(keys)
        below = 2 * place + 1
        while below < size:
            right = below + 1
            if right < size and keys[right] < keys[below]:
                below = right
            if keys[below] >= key:
                break
            keys[place] = keys[below]
            moved = members[below]
            members[place] = moved
            moved.place = place
            place = below
            below = 2 * place + 1
        keys[place] = key
        members[place] = member
        member.place = place
