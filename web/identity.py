"""Who is asking: the one place that decides, for every transport.

In open mode the request says it: headers `X-User-Id` and `X-User-Name`, query parameters `userId`
and `userName`, or a body's `senderId` and `senderName`. What is said twice must agree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from app.errors import FieldError, RequestError
from app.ids import is_given_id
from web.fields import is_display_name

USER_PARAMETERS: Final = frozenset(("userId", "userName"))
"""The parameters of a query that say who asks."""


class Asking(Protocol):
    """What says who asks: a request, or a handshake."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, whatever the case of their names."""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of its query."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may ask. `name` is empty where the request gave none."""

    id: str
    name: str = ""


def user_of(
    request: Asking, *, sender_id: str | None = None, sender_name: str | None = None
) -> User:
    """Return who asks; `sender_id` and `sender_name` are what the body says about it, checked.

    Raises:
        RequestError: `not_authenticated`, nobody is named; `forbidden`, two different users are;
            `invalid`, what is named is no user id or no name.
    """
    query = request.query
    user_id = _agreed((request.headers.get("X-User-Id"), query.get("userId"), sender_id), "userId")
    name = _agreed(
        (request.headers.get("X-User-Name"), query.get("userName"), sender_name), "userName"
    )
    if user_id is None:
        raise RequestError(
            "not_authenticated", "say who asks: the header X-User-Id, or userId in the query"
        )
    if user_id != sender_id and not is_given_id(user_id):
        raise _invalid("userId", "must be 1 to 64 of A-Z a-z 0-9 _ . : -")
    if name is not None and name != sender_name and not is_display_name(name):
        raise _invalid("userName", "must be 1 to 100 characters, not only white space")
    return User(user_id, name or "")


def sender_of(user: User, *, sender_id: str | None, sender_name: str | None) -> User:
    """Return the user as the sender of a message, which carries a name.

    Raises:
        RequestError: `forbidden`, the body names another sender; `invalid`, there is no name.
    """
    if sender_id is not None and sender_id != user.id:
        raise _forbidden("senderId")
    if sender_name is not None and user.name and sender_name != user.name:
        raise _forbidden("senderName")
    name = user.name or sender_name
    if not name:
        raise _invalid("senderName", "Field required")
    return User(user.id, name)


def _agreed(said: Iterable[str | None], field: str) -> str | None:
    agreed = None
    for value in said:
        if value is not None:
            if agreed is not None and value != agreed:
                raise _forbidden(field)
            agreed = value
    return agreed


def _forbidden(field: str) -> RequestError:
    return RequestError("forbidden", f"the request gives two different values of {field}")


def _invalid(path: str, message: str) -> RequestError:
    return RequestError("invalid", f"{path} {message}", [FieldError(path, message)])
