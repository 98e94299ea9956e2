"""What a message shows of its reactions, and how that changes."""

from dataclasses import dataclass, field
from typing import Any, Final

from app.errors import RequestError

KINDS: Final = 20
"""Kinds of emoji that a message can have."""

SHOWN_USERS: Final = 20
"""Users that a message names of each kind: the first ones; the others are counted."""

Shown = list[dict[str, Any]]
"""`{emoji, count, userIds}` of each kind, in the order of its first use."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants: their reaction to be there, or not."""

    emoji: str
    user_id: str
    is_wanted: bool


@dataclass(slots=True)
class Fold:
    """What becomes of a message, step by step, while wishes come true.

    `present` are the (emoji, user id) of the reactions that are there, as far as they are asked
    about. `shown` names too few users of the kinds in `taken_back`: only the collection knows who
    is next.
    """

    shown: Shown
    rev: int
    present: set[tuple[str, str]]
    taken_back: set[str] = field(default_factory=set)

    def grant(self, wish: Wish) -> bool:
        """Make a wish come true; return whether that changed anything.

        Raises:
            RequestError: `conflict`, it would be the 21st kind.
        """
        reaction = (wish.emoji, wish.user_id)
        if wish.is_wanted == (reaction in self.present):
            return False
        kind = next((kind for kind in self.shown if kind["emoji"] == wish.emoji), None)
        if kind is None:
            if len(self.shown) >= KINDS:
                raise RequestError("conflict", f"a message can have {KINDS} kinds of emoji")
            kind = {"emoji": wish.emoji, "count": 0, "userIds": []}
            self.shown.append(kind)
        if wish.is_wanted:
            self.present.add(reaction)
            kind["count"] += 1
            kind["userIds"] = [*kind["userIds"], wish.user_id][:SHOWN_USERS]
        else:
            self.present.remove(reaction)
            self.taken_back.add(wish.emoji)
            kind["count"] -= 1
            if kind["count"] == 0:
                self.shown.remove(kind)
        self.rev += 1
        return True
