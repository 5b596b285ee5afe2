"""The till's relations: read, find, create, update."""

from __future__ import annotations

from typing import Any

from gateway.connectors.mpluskassa.calls import Area
from gateway.connectors.mpluskassa.faults import MissingOperation
from gateway.connectors.mpluskassa.wire import RecordPage, Row, need, rows_apart, to_page
from gateway.connectors.mpluskassa.wire_relations import relation_marker, to_change, to_relation, to_soap
from mapping.customers import email_keys
from mapping.records import Relation


class Relations(Area):
    """Customers and suppliers. Reads raise Transient or Permanent; writes Unanswered as well."""

    def relation(self, number: int) -> Relation | None:
        """The relation with this number, or None."""
        return _found(self._calls.read("getRelation", relationNumber=number))

    def relations_since(self, marker: int, limit: int) -> RecordPage[Relation]:
        """Relations that changed, from this marker on (inclusive)."""
        answer = self._calls.read("getRelations", request={"syncMarker": marker, "syncMarkerLimit": limit})
        found = rows_apart(answer, "relationList", "relation")
        return to_page(found, to_relation, marker=relation_marker, key="relationNumber")

    def find_relation_by_email(self, email: str) -> Relation | None:
        """The relation that has this address (case aside), alone or beside others, or None.

        The till's own search finds parts of an address as well.
        """
        for exact in (True, False):
            found = _found(self._find({"email": email}, exact=exact))
            if found is not None and email.casefold() in email_keys(found.email):
                return found
        return None

    def find_relation_by_ext_id(self, ext_id: str) -> Relation | None:
        """The relation with our id, or None."""
        found = _found(self._find({"extRelationId": ext_id}))
        return found if found is not None and found.ext_id == ext_id else None

    def find_relation_by_name(self, name: str) -> Relation | None:
        """A relation of exactly this name (case aside), or None; the till answers one, however many have the name."""
        found = _found(self._find({"name": name}))
        return found if found is not None and found.name.casefold() == name.casefold() else None

    def create_relation(self, relation: Relation) -> int:
        """Make a relation (number 0: the till gives one). Not idempotent: resolve Unanswered by looking for it."""
        number: int = need(self._calls.write("createRelation", relation=to_soap(relation)), "relationNumber")
        return number

    def update_relation(self, relation: Relation, present: Relation) -> None:
        """Change the fields that differ from `present`; the till keeps the rest, including edits made meanwhile."""
        self._calls.write("updateRelation", relation=to_change(relation, present))

    def _find(self, terms: dict[str, Any], *, exact: bool = True) -> dict[str, Any]:
        try:
            return self._calls.read("findRelationV2", request={"relation": terms, "exactMatch": exact})
        except MissingOperation:
            pass
        return self._calls.read("findRelation", relation=terms)


def _found(answer: Row) -> Relation | None:
    row = answer.get("relation")
    return to_relation(row) if row and str(answer.get("result")).endswith("-OK") else None
