"""Money beside the document of a sale: a receipt or refund receipt with only the clearing item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from mapping.document_lines import CLEARING
from mapping.money import to_euros
from mapping.records import DocumentKind, DocumentLine, DocumentTax, Sale, SalesDocument
from mapping.references import References, find_account, get_clearing_item, get_untaxed
from mapping.sale_identity import fit_number, marker_of_part, name_record
from mapping.tenders import Tender


def to_money_documents(
    main: SalesDocument, sale: Sale, beside: Mapping[Tender, int], references: References
) -> Iterator[SalesDocument]:
    """One document per tender; MappingError if a required account or item is missing."""
    for tender, cents in sorted(beside.items()):
        kind = DocumentKind.SALES_RECEIPT if cents > 0 else DocumentKind.REFUND_RECEIPT
        yield to_money_document(kind, abs(cents), main, sale, tender, references)


def to_money_document(
    kind: DocumentKind, cents: int, main: SalesDocument, sale: Sale, tender: Tender, references: References
) -> SalesDocument:
    """The document of this amount and kind, for the sale whose document is `main`."""
    record = name_record(sale)
    marker = marker_of_part(sale, f"{tender.method}:{tender.day.isoformat()}")
    later = f"-{tender.day:%m%d}" if tender.day != sale.business_date else ""
    code, amount = get_untaxed(references, shifted=False, record=record), to_euros(cents)
    line = DocumentLine(amount, get_clearing_item(references, record), code.id, CLEARING, class_id=references.class_id)
    number = fit_number(f"{main.document_number}-{tender.method}{later}", marker)
    return replace(
        main,
        kind=kind,
        marker=marker,
        document_number=number,
        business_date=tender.day,
        lines=(line,),
        taxes=(DocumentTax(code.id, amount, to_euros(0), Decimal(0), code.rate_id),),
        total=amount,
        payment_method_id=references.payment_methods.get(tender.method),
        payment_reference=number,
        deposit_account_id=find_account(references, tender.method, kind, record),
        private_note=f"{marker}\nBeside: {main.document_number}",
        billing=None,
        shipping=None,
        shipping_method=None,
        term_id=None,
        due_date=None,
        linked_invoice_id=None,
    )
