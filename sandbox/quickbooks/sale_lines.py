"""The lines of a sales document: what each kind needs, amounts that agree, numbering, the subtotal line."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.references import GRATUITY_ITEM, SHIPPING_ITEM
from sandbox.quickbooks.tax import HUNDRED, to_cents

ZERO = Decimal(0)
_MOST_LINES = 10_000
_LAST = Decimal(1).scaleb(-7)


def settle(company: Company, row: Json) -> None:
    """Check and complete all lines, number them, and close with the subtotal."""
    lines = [line for line in row.get("Line") or [] if line.get("DetailType") != "SubTotalLineDetail"]
    if not lines:
        raise faults.missing("Line")
    if len(lines) > _MOST_LINES:
        raise faults.business(f"A transaction holds at most {_MOST_LINES} lines.")
    for line in lines:
        _settle_line(company, row, line)
    subtotal = sum((line["Amount"] for line in lines if _counts(line)), ZERO)
    for line in lines:
        _settle_discount(line, subtotal)
    _number(lines)
    row["Line"] = [*lines, {"Amount": subtotal, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}]


def _counts(line: Json) -> bool:
    return line["DetailType"] in ("SalesItemLineDetail", "GroupLineDetail")


def _settle_line(company: Company, row: Json, line: Json) -> None:
    match line.get("DetailType"):
        case "SalesItemLineDetail":
            _settle_item_line(company, row, line)
        case "GroupLineDetail":
            _settle_group_line(company, row, line)
        case "DiscountLineDetail":
            if not company.preference("SalesFormsPrefs", "AllowDiscount", False):
                raise faults.business("Discounts are switched off in this company.")
        case "DescriptionOnly":
            line.pop("Amount", None)
        case _:
            raise faults.missing("Line.DetailType")


def _settle_item_line(company: Company, row: Json, line: Json) -> None:
    if line.get("Amount") is None:
        raise faults.missing("Line.Amount")
    detail = line.setdefault("SalesItemLineDetail", {})
    line["Amount"] = to_cents(line["Amount"])
    if "ItemRef" not in detail:
        line["Amount"] = ZERO
    _refuse_category(company, detail)
    _check_product(company, line, detail)
    _check_tax_code(company, row, detail)


def _refuse_category(company: Company, detail: Json) -> None:
    item_id = detail.get("ItemRef", {}).get("value", SHIPPING_ITEM)
    if item_id in (SHIPPING_ITEM, GRATUITY_ITEM):
        return
    kind = company.get("Item", item_id)["Type"]
    if kind == "Category":
        raise faults.category_on_transaction(item_id)
    if kind == "Group":
        raise faults.invalid_reference("Items", item_id, "Line.SalesItemLineDetail.ItemRef")


def _check_product(company: Company, line: Json, detail: Json) -> None:
    quantity, price = detail.get("Qty"), detail.get("UnitPrice")
    if not quantity and not price:
        detail.pop("Qty", None)
        detail.pop("UnitPrice", None)
        return
    for name in ("Qty", "UnitPrice"):
        if detail.get(name) is not None:
            detail[name] = _keep(detail[name])
    if quantity is not None and price is not None and not _is_product(company, detail, line["Amount"]):
        raise faults.wrong_amount(line["Amount"])


def _keep(number: Decimal) -> Decimal:
    """Quantities and prices are kept with seven decimals."""
    kept = Decimal(number).quantize(_LAST, ROUND_HALF_UP)
    return number if kept == number else kept


def _is_product(company: Company, detail: Json, amount: Decimal) -> bool:
    product = detail["Qty"] * detail["UnitPrice"]
    return bool((product if company.switches.line_amounts == "exact" else to_cents(product)) == amount)


def _check_tax_code(company: Company, row: Json, detail: Json) -> None:
    if company.is_us:
        detail.setdefault("TaxCodeRef", {"value": "NON"})
    elif not company.preference("TaxPrefs", "UsingSalesTax", default=True):
        if "TaxCodeRef" in detail:
            raise faults.business("Sales tax is switched off for this company.")
    elif "TaxCodeRef" not in detail and row.get("GlobalTaxCalculation") != "NotApplicable" and "ItemRef" in detail:
        raise faults.business("Make sure all your transactions have a VAT rate before you save.")


def _settle_group_line(company: Company, row: Json, line: Json) -> None:
    detail = line.setdefault("GroupLineDetail", {})
    item = company.find("Item", detail.get("GroupItemRef", {}).get("value", ""))
    if item is None or item["Type"] != "Group":
        raise faults.invalid_reference("Items", str(detail.get("GroupItemRef")), "Line.GroupLineDetail.GroupItemRef")
    quantity = detail.setdefault("Quantity", Decimal(1))
    members = detail.get("Line") or [_to_member(company, each, quantity) for each in _components(item)]
    for member in members:
        _settle_item_line(company, row, member)
    _number(members)
    detail["Line"] = members
    line["Amount"] = sum((member["Amount"] for member in members), ZERO)


def _components(item: Json) -> list[Json]:
    components: list[Json] = item["ItemGroupDetail"]["ItemGroupLine"]
    return components


def _to_member(company: Company, component: Json, quantity: Decimal) -> Json:
    item = company.get("Item", component["ItemRef"]["value"])
    detail: Json = {"ItemRef": dict(component["ItemRef"]), "Qty": component["Qty"] * quantity}
    detail["UnitPrice"] = item.get("UnitPrice", ZERO)
    if "SalesTaxCodeRef" in item:
        detail["TaxCodeRef"] = dict(item["SalesTaxCodeRef"])
    amount = to_cents(detail["Qty"] * detail["UnitPrice"])
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def _settle_discount(line: Json, subtotal: Decimal) -> None:
    detail = line.get("DiscountLineDetail")
    if line["DetailType"] != "DiscountLineDetail":
        return
    if detail and detail.get("PercentBased") and "DiscountPercent" in detail:
        line["Amount"] = to_cents(subtotal * detail["DiscountPercent"] / HUNDRED)
    if line.get("Amount") is None:
        raise faults.missing("Line.Amount")
    line["Amount"] = to_cents(line["Amount"])


def _number(lines: list[Json]) -> None:
    taken = {str(line["Id"]) for line in lines if line.get("Id")}
    spare = (str(number) for number in range(1, 2 * len(lines) + 1) if str(number) not in taken)
    for position, line in enumerate(lines, start=1):
        line["Id"] = line.get("Id") or next(spare)
        line["LineNum"] = position
