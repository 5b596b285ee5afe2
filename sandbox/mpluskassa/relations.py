"""Relations (customers and suppliers): created, changed field by field, found by part or exactly."""

from __future__ import annotations

from sandbox.mpluskassa.markers import cut_page, raise_marker
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record, to_moment
from sandbox.mpluskassa.till import Till

READ_ONLY = ("syncMarker", "createTimestamp", "changeTimestamp", "balance", "invoiceCredit", "accountBalance")
SEARCHABLE = tuple(
    """
    extRelationId name address zipcode city country deliveryAddress deliveryZipcode deliveryCity deliveryCountry
    contact telephone mobile email website relationCode cardNumber bankAccountNumber
    """.split()  # noqa: SIM905 -- names read best as words
)
DEFAULTS: Record = {
    **dict.fromkeys(("extRelationId", "contact", "telephone", "mobile", "email", "website", "relationCode"), ""),
    **dict.fromkeys(("address", "zipcode", "city", "country", "vatNumber", "companyName"), ""),
    **dict.fromkeys(("deliveryAddress", "deliveryZipcode", "deliveryCity", "deliveryCountry"), ""),
    "active": True,
    "points": 0,
    "balance": 0,
    "paymentWithinDays": 14,
    "defaultVatMethod": "VAT-METHOD-INCLUSIVE",
}


def create_relation(till: Till, sent: Record) -> Record:
    """Store a new relation; raises `Refused` for a taken number or a missing name."""
    number = sent.get("relationNumber") or till["relations"].next_number()
    if number in till["relations"]:
        raise Refused("FAILED-RELATION-NUMBER-ALREADY-TAKEN", f"Relation number {number} is already taken.")
    if not sent.get("name"):
        raise Refused("FAILED", "A relation needs a name.")
    relation = {**DEFAULTS, **_writable(sent), "relationNumber": number, "createTimestamp": to_moment(till.clock())}
    return _store(till, relation, "createRelation")


def update_relation(till: Till, sent: Record) -> Record:
    """Change only the fields that were sent; raises `Refused` for an unknown number or an emptied name."""
    relation = till["relations"].find(sent.get("relationNumber"))
    if relation is None:
        raise Refused("NOT-FOUND", f"Relation number {sent.get('relationNumber')} does not exist.")
    if sent.get("name") == "":
        raise Refused("FAILED", "A relation needs a name.")
    return _store(till, {**relation, **_writable(sent)}, "updateRelation")


def _writable(sent: Record) -> Record:
    return {key: value for key, value in sent.items() if key not in READ_ONLY and value != []}


def _store(till: Till, relation: Record, effect: str) -> Record:
    relation["syncMarker"] = raise_marker(till, "relation")
    relation["changeTimestamp"] = to_moment(till.clock())
    till["relations"].put(relation)
    till.record_effect(effect, relation["relationNumber"])
    return relation


def find_by_part(till: Till, terms: Record) -> Record | None:
    """The first relation in which every given field occurs as a part, whatever the case."""
    given = _terms(terms)
    matches = (row for row in _ordered(till) if all(given[key] in _fold(row.get(key)) for key in given))
    return next(matches, None) if given else None


def find_exactly(till: Till, terms: Record) -> Record | None:
    """The first relation whose fields equal every given one; case counts only when the switch says so."""
    fold = _fold if till.switches.exact_match_ignores_case else str
    given = {key: fold(terms[key]) for key in SEARCHABLE if terms.get(key)}
    matches = (row for row in _ordered(till) if all(given[key] == fold(row.get(key, "")) for key in given))
    return next(matches, None) if given else None


def _terms(terms: Record) -> dict[str, str]:
    return {key: _fold(terms[key]) for key in SEARCHABLE if terms.get(key)}


def _fold(value: object) -> str:
    return str(value or "").casefold()


def _ordered(till: Till) -> list[Record]:
    return sorted(till["relations"], key=lambda row: int(row["relationNumber"]))


def list_relations(till: Till, request: Record) -> list[Record]:
    """Relations that match a getRelations request."""
    numbers, category = request.get("relationNumbers"), request.get("categoryId")
    rows = [
        row
        for row in _ordered(till)
        if (not numbers or row["relationNumber"] in numbers) and (category is None or category in _categories(row))
    ]
    return cut_page(till, rows, request, till.switches.relation_page_size)


def _categories(relation: Record) -> list[int]:
    categories: list[int] = relation.get("categoryIds", {}).get("category", [])
    return [*categories, relation.get("categoryId", 0)]
