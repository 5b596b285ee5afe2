"""Operations on relations."""

from __future__ import annotations

from sandbox.mpluskassa import relations
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till


def get_relations(till: Till, request: Record) -> Record:
    """Relations, by number, category or from a marker on."""
    asked = request.get("request", {})
    return {"relationList": {"relation": relations.list_relations(till, asked)}}


def get_relation(till: Till, request: Record) -> Record:
    """One relation; when there is none, its payload is empty or, by switch, absent."""
    relation = till["relations"].find(request["relationNumber"])
    if relation is not None:
        return {"result": "GET-RELATION-RESULT-OK", "relation": relation}
    empty: Record = {} if till.switches.omit_missing_payload else {"relation": {}}
    return {"result": "GET-RELATION-RESULT-NOT-FOUND", **empty}


def find_relation(till: Till, request: Record) -> Record:
    """The first relation that holds all terms somewhere."""
    return _found(relations.find_by_part(till, request.get("relation", {})))


def find_relation_v2(till: Till, request: Record) -> Record:
    """The first relation that holds all terms, exactly or in part."""
    asked = request["request"]
    search = relations.find_exactly if asked.get("exactMatch") else relations.find_by_part
    return _found(search(till, asked["relation"]))


def _found(relation: Record | None) -> Record:
    if relation is None:
        return {"result": "FIND-RELATION-RESULT-NOT-FOUND"}
    return {"result": "FIND-RELATION-RESULT-OK", "relation": relation}


def create_relation(till: Till, request: Record) -> Record:
    """A new relation; its number is 0 when it was refused."""
    try:
        relation = relations.create_relation(till, request.get("relation", {}))
    except Refused as refusal:
        result = f"CREATE-RELATION-RESULT-{refusal.result}"
        return {"result": result, "relationNumber": 0, "errorMessage": refusal.message}
    return {"result": "CREATE-RELATION-RESULT-OK", "relationNumber": relation["relationNumber"], **_stamps(relation)}


def update_relation(till: Till, request: Record) -> Record:
    """A relation with the sent fields changed."""
    try:
        relation = relations.update_relation(till, request.get("relation", {}))
    except Refused as refusal:
        return {"result": f"UPDATE-RELATION-RESULT-{refusal.result}", "errorMessage": refusal.message}
    return {"result": "UPDATE-RELATION-RESULT-OK", **_stamps(relation)}


def _stamps(relation: Record) -> Record:
    return {**{name: relation[name] for name in ("changeTimestamp", "syncMarker")}, "errorMessage": ""}


HANDLERS = {
    "getRelations": get_relations,
    "getRelation": get_relation,
    "findRelation": find_relation,
    "findRelationV2": find_relation_v2,
    "createRelation": create_relation,
    "updateRelation": update_relation,
}
