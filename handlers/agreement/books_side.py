"""The books' side of the agreement: documents and payments of some days, recognised by marker or link, and the others.

The others are sales of ours that another program booked too, and sales that the till does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from typing import Any

from gateway.store import links, sales
from gateway.store.links import Link, LinkKind
from handlers.agreement.till_side import TillSide
from handlers.deps import Deps
from mapping import figures, list_entries, sale_identity, side_by_side
from mapping.agreement_causes import BooksRecord, DocumentState
from mapping.figures import Names
from mapping.messages import message
from mapping.money import round_to_cents
from mapping.records import RETURNS, BookedDocument, BooksPayment, DocumentKind, Sale, SaleKind
from mapping.sale_identity import SALE_KINDS, name_record, read_tag

_MOVED = re.compile(r"Original date: (\d{4}-\d{2}-\d{2})")
DAY = "day"
_AT_ONCE = 100


@dataclass
class BooksSide:
    """What was read from the books, by id. `groups`: a sale's id, or "day:BRANCH:DATE"; others are not ours.

    `kinds`: the kind of sale of a group, if the marker names it. `foreign`: documents in a group that another
    program booked. `parts`: documents of money beside a sale's own document. `adopted`: documents that were linked
    to the sale.
    """

    documents: dict[str, BookedDocument] = field(default_factory=dict)
    payments: dict[str, BooksPayment] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, SaleKind] = field(default_factory=dict)
    gone: list[tuple[str, str, str]] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    adopted: set[str] = field(default_factory=set)

    def method_ids(self) -> set[str]:
        on_documents = (document.payment_method_id for document in self.documents.values())
        on_payments = (payment.payment_method_id for payment in self.payments.values())
        return {each for each in (*on_documents, *on_payments) if each}

    def adopt(self, record_id: str, link: Link) -> None:
        """Note that another program booked this document, if its link says so."""
        if link.adopted:
            self.adopted.add(record_id)

    def recognise(self, record_id: str, note: str | None) -> None:
        """Assign a document or payment to a group, if its note names one."""
        kind, identity, part = read_tag(note)
        if kind == DAY:
            # The corrections of a day belong to the day.
            self.groups[record_id] = f"{DAY}:{identity}:{part.partition(':')[0]}"
        elif kind in SALE_KINDS:
            self.groups[record_id] = identity
            self.kinds[identity] = SALE_KINDS[kind]
            if part:
                self.parts.add(record_id)


def read(deps: Deps, start: date, through: date) -> BooksSide:
    """All documents and payments of these days; those with our marker or link have a group."""
    side = BooksSide()
    for kind in DocumentKind:
        _keep(side, deps.books.documents_between(kind, start, through))
    side.payments |= {payment.id or "": payment for payment in deps.books.payments_between(start, through)}
    # Use the link: the note of our document or payment may have been edited.
    unmarked = [each for each in side.documents if each not in side.groups]
    documents = deps.read(links.find_by_targets, [LinkKind.DOCUMENT], unmarked)
    payments = deps.read(links.find_by_targets, [LinkKind.PAYMENT], side.payments.keys())
    for link in chain.from_iterable(documents.values()):
        if side.documents[link.target_id].kind == link.target_entity:
            side.groups[link.target_id] = group_of(link.source_id, link)
            side.adopt(link.target_id, link)
    for payment in side.payments.values():
        side.recognise(payment.id or "", payment.private_note)
    for link in chain.from_iterable(payments.values()):
        # "INVOICE/ID/REFERENCE": the document that was paid.
        group = side.groups.get(link.source_id.split("/")[1]) if link.source_id.count("/") > 1 else None
        if group:
            side.groups.setdefault(link.target_id, group)
    return side


def _keep(side: BooksSide, found: Iterable[BookedDocument]) -> None:
    for document in found:
        side.documents[document.id] = document
        side.recognise(document.id, document.private_note)


def group_of(sale_id: str, link: Link | None) -> str:
    """The group of a sale: its day's document when it is summed up in one, else its own id."""
    return f"{DAY}:{link.day}" if link and link.day else sale_id


def named_sales(side: BooksSide) -> dict[SaleKind, list[str]]:
    """The till's ids of every sale that a document or payment names; an unknown kind is searched among all kinds."""
    named = dict.fromkeys(group for group in side.groups.values() if not group.startswith(f"{DAY}:"))
    return {kind: [each for each in named if side.kinds.get(each, kind) is kind] for kind in SaleKind}


def read_linked(side: BooksSide, linked: Mapping[str, Link], groups: Mapping[str, str], deps: Deps) -> None:
    """Read the linked documents of other days; one that is not in the books any more is marked as gone."""
    missing = {link.target_id: (link.target_entity, groups[sale]) for sale, link in linked.items()
               if link.target_id not in side.documents}  # fmt: skip
    by_target = {link.target_id: link for link in linked.values()}
    for kind in DocumentKind:
        ids = [each for each, (entity, _) in missing.items() if entity == kind]
        if ids:
            _keep(side, deps.books.documents_by_id(kind, ids))
    for each, (entity, group) in missing.items():
        if each in side.documents:
            side.groups.setdefault(each, group)
            side.adopt(each, by_target[each])
        else:
            side.gone.append((group, entity, each))


def note_documents(side: BooksSide, names: Names, deps: Deps, *, read_at: datetime) -> None:
    """Store what was read of documents for the pages of their sales; some at a time, for nobody waits for it."""
    found = [(str(document.kind), each) for each, document in side.documents.items() if each in side.groups]
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        sides = {key: side_by_side.of_document(side.documents[key[1]], names.rates) for key in some}
        outdated = deps.read(sales.find_outdated, sides, read_at=read_at)
        if outdated:
            deps.write(sales.note_documents, outdated)


def to_records(
    side: BooksSide, till: TillSide, groups: Mapping[str, str], names: Names, deps: Deps
) -> list[BooksRecord]:
    branches = _Branches(till, groups, deps)
    records: list[BooksRecord] = []
    for each, document in side.documents.items():
        if each not in side.groups:
            continue
        group = side.groups[each]
        moved = _MOVED.search(document.private_note or "")
        records.append(
            BooksRecord(
                group=group,
                entity=document.kind,
                id=document.id,
                figures=figures.of_document(document, branches.of_document(document, group), names),
                state=DocumentState.VOIDED if document.voided else DocumentState.PRESENT,
                partial=group.startswith(f"{DAY}:") or each in side.parts,
                note=message("Original date: {day}", day=moved[1]) if moved else None,
                foreign=each in side.foreign,
                number=document.document_number,
                adopted=each in side.adopted,
            )
        )
    records += [
        BooksRecord(
            group=side.groups[each],
            entity="Payment",
            id=payment.id or "",
            figures=figures.of_payment(payment, branches.of_group(side.groups[each]), names),
            state=DocumentState.VOIDED if payment.voided else DocumentState.PRESENT,
            partial=True,
            number=payment.payment_reference,
        )
        for each, payment in side.payments.items()
        if each in side.groups
    ]
    gone = (BooksRecord(group, entity, each, {}, DocumentState.GONE) for group, entity, each in side.gone)
    return [*records, *gone]


class _Branches:
    """Which branch a document belongs to: its department's, or its sale's where there are no departments."""

    def __init__(self, till: TillSide, groups: Mapping[str, str], deps: Deps) -> None:
        known, mapping = deps.lists.read("Department"), deps.settings.mapping
        self._departments = {
            each.number: list_entries.department(each.number, known, mapping) for each in known.branches
        }
        self._of_department = {each: number for number, each in self._departments.items() if each}
        self._of_group = {groups[sale.id]: sale.branch for sale in till.sales.values()}

    def of_group(self, group: str) -> int | None:
        """The branch of the sale (or the day) itself."""
        kind, _, identity = group.partition(":")
        if kind == DAY:
            return int(identity.split(":")[0])
        return self._of_group.get(group)

    def of_document(self, document: BookedDocument, group: str) -> int | None:
        department = document.department_id
        own = self.of_group(group)
        if department is None:
            return own if own is not None and self._departments.get(own) is None else None
        return self._of_department.get(department)


MAX_NAMED = 50
_WORD = re.compile(r"[\w.\-]+")


def claim_doubles(side: BooksSide, till: TillSide, groups: Mapping[str, str], deps: Deps) -> None:
    """Group documents of other programs about a sale that we booked with the document that we made.

    Such a document has the sale's number (as its own, or in its note or memo) and its amount.
    """
    named: dict[str, Sale] = {}
    for sale in till.sales.values():
        named[sale.id] = sale
        if sale.number:
            named[sale.number] = named[sale_identity.document_number(sale, deps.settings.orders)] = sale
    booked = {side.groups[each] for each, row in side.documents.items() if each in side.groups and not row.voided}
    for document in _list_others(side):
        texts = (document.document_number, document.private_note, document.customer_memo)
        about = (named[word] for text in texts for word in _WORD.findall(text or "") if word in named)
        same = next((each for each in about if abs(each.total_incl_cents) == abs(_cents(document))), None)
        if same is not None and groups[same.id] in booked:
            side.groups[document.id] = groups[same.id]
            side.foreign.add(document.id)


def describe(side: BooksSide, till: TillSide, groups: Mapping[str, str]) -> dict[str, Any]:
    """The documents of these days without a sale at the till; one with a sale's day and amount names that sale."""
    booked = set(side.groups.values())
    alike = {
        (sale.business_date, sale.total_incl_cents): name_record(sale)
        for sale in till.sales.values()
        if groups[sale.id] in booked
    }
    found = [document for document in _list_others(side) if not document.voided]
    return {
        "documents": len(found),
        "cents": sum(map(_cents, found)),
        "records": [
            {
                "entity": each.kind,
                "id": each.id,
                "number": each.document_number,
                "day": each.business_date.isoformat() if each.business_date else None,
                "cents": _cents(each),
                "like": alike.get((each.business_date, _cents(each))) if each.business_date and _cents(each) else None,
            }
            for each in found[:MAX_NAMED]
        ],
    }


def describe_payments(side: BooksSide) -> dict[str, Any]:
    """The payments of these days on our documents that are only in the books, for example a bank transfer."""
    found = [
        each
        for id_, each in side.payments.items()
        if id_ not in side.groups and not each.voided and any(link.id in side.groups for link in each.links)
    ]
    return {
        "payments": len(found),
        "cents": sum(round_to_cents(each.total) for each in found),
        "records": [
            {
                "id": each.id,
                "number": each.payment_reference,
                "day": each.business_date.isoformat(),
                "cents": round_to_cents(each.total),
            }
            for each in found[:MAX_NAMED]
        ],
    }


def _list_others(side: BooksSide) -> Iterable[BookedDocument]:
    return [document for each, document in side.documents.items() if each not in side.groups]


def _cents(document: BookedDocument) -> int:
    return round_to_cents(-document.total if document.kind in RETURNS else document.total)
