"""Records that every sale shares and the first one creates: the default debtor, our own items, accounts, methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import DuplicateName

_Record = TypeVar("_Record")


def create_or_adopt(create: Callable[[], _Record], find: Callable[[], _Record | None]) -> _Record:
    """What `create` returns; where the books refuse the name, what `find` finds under it.

    Another sale created it since this one looked, and the books did not recognise the common request id. Raises
    `DuplicateName` if a record of another kind has the name.
    """
    try:
        return create()
    except DuplicateName:
        found = find()
        if found is None:
            raise
        return found
