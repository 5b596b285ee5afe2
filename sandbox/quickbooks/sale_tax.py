"""Tax on a sales document: from its lines' tax codes to totals, and what becomes of tax amounts a client sends."""

from __future__ import annotations

from decimal import Decimal

from sandbox.quickbooks import faults, stock, tax
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.tax import DocumentTax, Rate, RateTax, TaxedLine, to_cents

ZERO = Decimal(0)
TOLERANCE = Decimal("0.05")


def settle(company: Company, row: Json, sent: Json | None) -> None:
    """Work out tax and totals. `sent` is the TxnTaxDetail of this very request, if it had one."""
    if company.is_us:
        row.pop("GlobalTaxCalculation", None)
    else:
        row.setdefault("GlobalTaxCalculation", "TaxExcluded")
    mode = row.get("GlobalTaxCalculation")
    if mode == "NotApplicable" and sent and (sent.get("TaxLine") or sent.get("TotalTax")):
        raise faults.tax_not_applicable()
    lines = [] if mode == "NotApplicable" else _taxed_lines(company, row, sent)
    result = tax.compute(
        [each for _, each in lines], inclusive=mode == "TaxInclusive", rounding=company.switches.tax_rounding
    )
    if mode == "TaxInclusive":
        _write_net([line for line, _ in lines], result)
    rates = _override(company, result, sent)
    row["TxnTaxDetail"] = _to_detail(rates, sent)
    row["TotalAmt"] = _total(row, result, row["TxnTaxDetail"]["TotalTax"])


def _taxed_lines(company: Company, row: Json, sent: Json | None) -> list[tuple[Json, TaxedLine]]:
    result = []
    for line in stock.walk_lines(row):
        detail = line.get(line["DetailType"], {})
        if line["DetailType"] in ("SalesItemLineDetail", "DiscountLineDetail") and "TaxCodeRef" in detail:
            sign = -1 if line["DetailType"] == "DiscountLineDetail" else 1
            rates = _rates(company, detail["TaxCodeRef"]["value"], row["TxnDate"], sent)
            gross = detail.get("TaxInclusiveAmt") or None
            result.append((line, TaxedLine(sign * line["Amount"], rates, gross)))
    return result


def _rates(company: Company, code_id: str, day: str, sent: Json | None) -> tuple[Rate, ...]:
    if code_id in ("TAX", "NON"):
        code_id = (sent or {}).get("TxnTaxCodeRef", {}).get("value", "") if code_id == "TAX" else ""
    code = company.find("TaxCode", code_id) or {}
    details = code.get("SalesTaxRateList", {}).get("TaxRateDetail", [])
    rows = [company.get("TaxRate", each["TaxRateRef"]["value"]) for each in details]
    return tuple(Rate(each["Id"], _percent(each, day)) for each in rows)


def _percent(rate: Json, day: str) -> Decimal:
    for each in rate.get("EffectiveTaxRate", []):
        if each["EffectiveDate"][:10] <= day <= each.get("EndDate", "9999")[:10]:
            return Decimal(each["RateValue"])
    return Decimal(rate["RateValue"])


def _write_net(lines: list[Json], result: DocumentTax) -> None:
    """Tax inclusive: the gross amount rules; the net that was sent may differ by rounding only."""
    for line, taxed in zip(lines, result.lines, strict=True):
        if line["DetailType"] != "SalesItemLineDetail":
            continue
        if abs(line["Amount"] - taxed.net) > TOLERANCE:
            raise faults.wrong_amount(line["Amount"])
        line["Amount"] = taxed.net
        line["SalesItemLineDetail"]["TaxInclusiveAmt"] = taxed.gross


def _override(company: Company, result: DocumentTax, sent: Json | None) -> tuple[RateTax, ...]:
    lines = [line for line in (sent or {}).get("TaxLine") or [] if line.get("TaxLineDetail")]
    rule = company.switches.tax_override
    if not lines or rule == "ignore" or company.is_us:
        return result.rates
    if rule == "refuse":
        raise faults.business("Tax amounts cannot be set by this application.")
    amounts = {_rate_of(line): to_cents(line.get("Amount") or ZERO) for line in lines}
    total = (sent or {}).get("TotalTax")
    computed = {each.rate.id: each.tax for each in result.rates}
    if len(amounts) != len(lines) or amounts.keys() - computed.keys():
        raise faults.business("The tax lines do not belong to the tax codes of the transaction.")
    if total is not None and to_cents(total) != sum((computed | amounts).values(), ZERO):
        raise faults.business("The total tax is not the sum of the tax lines.")
    if any(abs(amount - computed[rate]) > TOLERANCE for rate, amount in amounts.items()):
        raise faults.business("The tax amount differs too much from the calculated tax.")
    return tuple(RateTax(each.rate, each.net, amounts.get(each.rate.id, each.tax)) for each in result.rates)


def _rate_of(line: Json) -> str:
    reference = line["TaxLineDetail"].get("TaxRateRef")
    if not reference:
        raise faults.missing("TxnTaxDetail.TaxLine.TaxLineDetail.TaxRateRef")
    return str(reference["value"])


def _to_detail(rates: tuple[RateTax, ...], sent: Json | None) -> Json:
    detail: Json = {"TotalTax": sum((each.tax for each in rates), ZERO)}
    if (sent or {}).get("TxnTaxCodeRef"):
        detail["TxnTaxCodeRef"] = (sent or {})["TxnTaxCodeRef"]
    if rates:
        detail["TaxLine"] = [_to_tax_line(each) for each in rates]
    return detail


def _to_tax_line(each: RateTax) -> Json:
    detail = {
        "TaxRateRef": {"value": each.rate.id},
        "PercentBased": True,
        "TaxPercent": each.rate.percent,
        "NetAmountTaxable": each.net,
    }
    return {"Amount": each.tax, "DetailType": "TaxLineDetail", "TaxLineDetail": detail}


def _total(row: Json, result: DocumentTax, total_tax: Decimal) -> Decimal:
    """Net plus tax; of a tax inclusive document the sum of the gross amounts, whatever the rounding of its tax."""
    discounts = sum((line["Amount"] for line in row["Line"] if line["DetailType"] == "DiscountLineDetail"), ZERO)
    net = sum((line["Amount"] for line in row["Line"] if line["DetailType"] in _COUNTED), ZERO)
    if row.get("GlobalTaxCalculation") == "TaxInclusive":
        total_tax = sum((each.tax for each in result.lines), ZERO)
    for line in row["Line"]:
        if line["DetailType"] == "SubTotalLineDetail":
            line["Amount"] = net
    return net - discounts + total_tax


_COUNTED = ("SalesItemLineDetail", "GroupLineDetail")
