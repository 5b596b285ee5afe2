"""Relations: found by part or exactly, changed field by field."""

from __future__ import annotations

from typing import Any

from tests.sandbox.mpluskassa.conftest import Sandbox


def find(service: Any, exact: bool, **terms: str) -> Any:
    return service.findRelationV2(request={"relation": terms, "exactMatch": exact})


def test_find_relation_takes_any_part_in_any_case(till: Any) -> None:
    found = till.findRelation(relation={"email": "JANSENBOUW", "city": "utr"})
    assert (found.result, found.relation.relationNumber) == ("FIND-RELATION-RESULT-OK", 501)
    assert till.findRelation(relation={"email": "jansen", "city": "Zeist"}).result == "FIND-RELATION-RESULT-NOT-FOUND"


def test_part_of_an_address_may_hit_the_wrong_customer_but_not_exactly(service: Any) -> None:
    assert find(service, exact=False, email="bouw.example").relation.relationNumber == 501
    assert find(service, exact=True, email="bouw.example").result == "FIND-RELATION-RESULT-NOT-FOUND"
    assert find(service, exact=True, email="INFO@jansenbouw.example").relation.relationNumber == 501


def test_a_simulation_may_take_exact_by_the_letter(service: Any, sandbox: Sandbox) -> None:
    sandbox.simulation.till.switches.exact_match_ignores_case = False
    assert find(service, exact=True, email="INFO@jansenbouw.example").result == "FIND-RELATION-RESULT-NOT-FOUND"


def test_no_search_term_finds_nobody(service: Any) -> None:
    assert find(service, exact=True).result == "FIND-RELATION-RESULT-NOT-FOUND"
    assert service.findRelation(relation={"relationNumber": 501}).result == "FIND-RELATION-RESULT-NOT-FOUND"


def test_an_update_changes_only_what_it_sends(service: Any) -> None:
    answer = service.updateRelation(relation={"relationNumber": 501, "city": "Zeist"})
    relation = service.getRelation(relationNumber=501).relation
    assert answer.syncMarker == relation.syncMarker
    assert (relation.city, relation.name, relation.email) == ("Zeist", "Jansen Bouw", "info@jansenbouw.example")


def test_what_cannot_be_saved_says_why(service: Any) -> None:
    taken = service.createRelation(relation={"relationNumber": 501, "name": "x"})
    nameless = service.createRelation(relation={"email": "x@x.example"})
    unknown = service.updateRelation(relation={"relationNumber": 404, "name": "x"})
    assert taken.result == "CREATE-RELATION-RESULT-FAILED-RELATION-NUMBER-ALREADY-TAKEN"
    assert (nameless.result, nameless.relationNumber) == ("CREATE-RELATION-RESULT-FAILED", 0)
    assert unknown.result == "UPDATE-RELATION-RESULT-NOT-FOUND"


def test_a_number_left_out_is_given(service: Any) -> None:
    assert service.createRelation(relation={"name": "Nieuw"}).relationNumber == 502


def test_an_unknown_relation_is_a_result_with_an_empty_payload(service: Any) -> None:
    answer = service.getRelation(relationNumber=404)
    assert answer.result == "GET-RELATION-RESULT-NOT-FOUND"
    assert answer.relation is None
