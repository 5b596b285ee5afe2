"""Property tables of the objects that entities are made of: addresses, references, lines, tax details."""

from __future__ import annotations

from sandbox.quickbooks.fields import (
    Field,
    Fields,
    Kind,
    choice,
    day,
    flag,
    known,
    many,
    moment,
    name,
    nested,
    number,
    readonly,
    ref,
    several,
    text,
    whole,
)

META: Fields = {
    **several("CreateTime LastUpdatedTime LastChangedInQB", readonly(moment())),
    **known("CreatedByRef LastModifiedByRef Synchronized"),
}

ADDRESS: Fields = {
    "Id": text(),
    **several("Line1 Line2 Line3 Line4 Line5", text(500)),
    **several("City Country CountrySubDivisionCode", text(255)),
    "PostalCode": text(30),
    **several("Lat Long Note CountryCode County PostalCodeSuffix Tag", text(255)),
}

EMAIL: Fields = {"Address": Field(Kind.EMAIL, limit=100), **known("Id Default Tag")}

PHONE: Fields = {
    "FreeFormNumber": text(30),
    **known("Id DeviceType CountryCode AreaCode ExchangeCode Extension Default Tag"),
}

WEBSITE: Fields = {"URI": text(1000), **known("Id Default Tag")}

MEMO: Fields = {"value": text(1000), "id": text()}

CUSTOM_FIELD: Fields = {
    "DefinitionId": text(),
    "Name": text(30),
    "Type": choice("StringType", "BooleanType", "NumberType", "DateType"),
    "StringValue": text(31),
    **known("BooleanValue DateValue NumberValue"),
}

LINKED: Fields = {"TxnId": text(), "TxnType": text(), "TxnLineId": text()}

TAX_LINE_DETAIL: Fields = {
    "TaxRateRef": ref("TaxRate"),
    "PercentBased": flag(),
    **several("TaxPercent NetAmountTaxable TaxInclusiveAmount OverrideDeltaAmount", number()),
    **known("ServiceDate TaxLineDetailEx"),
}

TAX_LINE: Fields = {
    "Id": text(),
    "LineNum": whole(),
    "Description": text(4000),
    "Amount": number(),
    "DetailType": choice("TaxLineDetail", ""),
    "TaxLineDetail": nested(TAX_LINE_DETAIL),
    **known("LinkedTxn CustomField"),
}

TAX_DETAIL: Fields = {
    "TxnTaxCodeRef": ref("TaxCode"),
    "TotalTax": number(),
    "TaxLine": many(nested(TAX_LINE)),
    **known("DefaultTaxCodeRef TaxReviewStatus UseAutomatedSalesTax"),
}

SALES_ITEM_DETAIL: Fields = {
    "ItemRef": ref("Item"),
    "ClassRef": ref("Class"),
    **several("UnitPrice Qty TaxInclusiveAmt", number()),
    "TaxCodeRef": ref("TaxCode"),
    "ItemAccountRef": ref("Account"),
    "ServiceDate": day(),
    **known(
        "UnitCostPrice RatePercent PriceLevelRef MarkupInfo UOMRef InventorySiteRef TaxClassificationRef DiscountRate "
        "DiscountAmt DeferredRevenue RetainageAmount SalesItemLineDetailEx"
    ),
}

DISCOUNT_DETAIL: Fields = {
    "PercentBased": flag(),
    "DiscountPercent": number(),
    "DiscountAccountRef": ref("Account"),
    "ClassRef": ref("Class"),
    "TaxCodeRef": ref("TaxCode"),
    **known("DiscountRef ServiceDate DiscountLineDetailEx"),
}

_LINE_COMMON: Fields = {
    "Id": text(),
    "LineNum": whole(),
    "Description": text(4000),
    "Amount": number(),
    "LinkedTxn": many(nested(LINKED)),
    **known("Received CustomField LineEx ProjectRef CostAmount HomeCostAmount CustomExtensions"),
}

_OTHER_DETAILS = known(
    "PaymentLineDetail TaxLineDetail ItemBasedExpenseLineDetail AccountBasedExpenseLineDetail ReimburseLineDetail "
    "DepositLineDetail PurchaseOrderItemLineDetail SalesOrderItemLineDetail ItemReceiptLineDetail "
    "JournalEntryLineDetail TDSLineDetail"
)

GROUP_MEMBER: Fields = {
    **_LINE_COMMON,
    "DetailType": choice("SalesItemLineDetail"),
    "SalesItemLineDetail": nested(SALES_ITEM_DETAIL),
}

GROUP_DETAIL: Fields = {
    "GroupItemRef": ref("Item"),
    "Quantity": number(),
    "Line": many(nested(GROUP_MEMBER)),
    **known("UOMRef ServiceDate GroupLineDetailEx"),
}

SALES_LINE: Fields = {
    **_LINE_COMMON,
    "DetailType": choice(
        "SalesItemLineDetail", "DiscountLineDetail", "SubTotalLineDetail", "DescriptionOnly", "GroupLineDetail"
    ),
    "SalesItemLineDetail": nested(SALES_ITEM_DETAIL),
    "DiscountLineDetail": nested(DISCOUNT_DETAIL),
    "SubTotalLineDetail": nested(known("ItemRef ServiceDate SubtotalLineDetailEx")),
    "DescriptionLineDetail": nested({"ServiceDate": day(), "TaxCodeRef": ref("TaxCode")}),
    "GroupLineDetail": nested(GROUP_DETAIL),
    **_OTHER_DETAILS,
}

PAYMENT_LINE: Fields = {**_LINE_COMMON, **known("DetailType PaymentLineDetail")}

ADJUSTMENT_LINE: Fields = {
    **_LINE_COMMON,
    "DetailType": choice("ItemAdjustmentLineDetail"),
    "ItemAdjustmentLineDetail": nested(
        {
            "ItemRef": ref("Item"),
            "QtyDiff": number(),
            "NewQty": number(),
            "ClassRef": ref("Class"),
            "SalesPrice": number(),
        }
    ),
}

COMMON: Fields = {
    "Id": text(),
    "SyncToken": text(),
    "domain": text(),
    "sparse": flag(),
    "status": readonly(text()),
    "MetaData": readonly(nested(META)),
    "CustomField": many(nested(CUSTOM_FIELD)),
    **known("AttachableRef"),
}

PERSON: Fields = {
    **COMMON,
    **several("Title Suffix", name(16)),
    **several("GivenName MiddleName FamilyName", name(100)),
    "CompanyName": text(100),
    "DisplayName": name(500),
    "PrintOnCheckName": name(110),
    "Active": flag(),
    **several("PrimaryPhone AlternatePhone Mobile Fax", nested(PHONE)),
    "PrimaryEmailAddr": nested(EMAIL),
    "WebAddr": nested(WEBSITE),
    **known("IntuitId Organization UserId V4IDPseudonym OtherContactInfo OtherAddr"),
}
