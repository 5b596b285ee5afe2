"""Property tables of the transactions: sales documents, payments, stock adjustments."""

from __future__ import annotations

from sandbox.quickbooks.fields import (
    Fields,
    choice,
    day,
    flag,
    known,
    many,
    nested,
    number,
    readonly,
    ref,
    several,
    text,
)
from sandbox.quickbooks.parts import (
    ADDRESS,
    ADJUSTMENT_LINE,
    COMMON,
    EMAIL,
    LINKED,
    MEMO,
    PAYMENT_LINE,
    SALES_LINE,
    TAX_DETAIL,
)

_TRANSACTION: Fields = {
    **COMMON,
    "TxnDate": day(),
    "PrivateNote": text(4000),
    "CurrencyRef": ref("Currency"),
    "ExchangeRate": number(),
    "DepartmentRef": ref("Department"),
    **known(
        "TxnSubType TxnSource TaxFormType TaxFormNum TransactionLocationType Tag TxnApprovalInfo "
        "RecurDataRef RecurringInfo ProjectRef TotalCostAmount HomeTotalCostAmount"
    ),
}

_SALE: Fields = {
    **_TRANSACTION,
    "DocNumber": text(21),
    "Line": many(nested(SALES_LINE)),
    "TxnTaxDetail": nested(TAX_DETAIL),
    "CustomerRef": ref("Customer"),
    "CustomerMemo": nested(MEMO),
    **several("BillAddr ShipAddr ShipFromAddr", nested(ADDRESS)),
    "ClassRef": ref("Class"),
    "ShipMethodRef": ref(),
    "ShipDate": day(),
    "TrackingNum": text(31),
    "GlobalTaxCalculation": choice("TaxInclusive", "TaxExcluded", "NotApplicable"),
    **several("TotalAmt HomeTotalAmt Balance HomeBalance", readonly(number())),
    **several("ApplyTaxAfterDiscount FreeFormAddress", flag()),
    "PrintStatus": choice("NotSet", "NeedToPrint", "PrintComplete"),
    "EmailStatus": choice("NotSet", "NeedToSend", "EmailSent"),
    **several("BillEmail BillEmailCc BillEmailBcc", nested(EMAIL)),
    "LinkedTxn": many(nested(LINKED)),
    **known(
        "RemitToRef SalesRepRef PONumber FOB ShippingTaxIncludedInTotalTax TemplateRef ARAccountRef FinanceCharge "
        "DeliveryInfo DiscountRate DiscountAmt GovtTxnRefIdentifier TaxExemptionRef AutoDocNumber"
    ),
}

_PAID: Fields = {
    "PaymentMethodRef": ref("PaymentMethod"),
    "PaymentRefNum": text(21),
    "DepositToAccountRef": ref("Account"),
    **known("CheckPayment CreditCardPayment PaymentType"),
}

_TERMS: Fields = {"SalesTermRef": ref("Term"), "DueDate": day()}

SALES_RECEIPT: Fields = {**_SALE, **_PAID, **known("TxnStatus SalesTermRef DueDate SalesReceiptEx LessCIS")}

INVOICE: Fields = {
    **_SALE,
    **_TERMS,
    "Deposit": number(),
    "DepositToAccountRef": ref("Account"),
    **several("AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment", flag()),
    **known(
        "TxnStatus PaymentMethodRef PaymentRefNum PaymentType CheckPayment CreditCardPayment "
        "AllowOnlinePayPalPayment AllowOnlineAffirmPayment EInvoiceStatus ECloudStatusTimeStamp CfdiUse Exportation "
        "GlobalInfo invoiceStatus callToAction invoiceStatusLog InvoiceEx LessCIS InvoiceLink PaymentDetailsMessage "
        "ConvenienceFeeDetail EnabledSurchargeInfo InvoiceLinkSecurityCode InvoiceLinkExpiryDate AutoPayEligible "
        "SchedulePayEligible ScheduledPaymentId GratuityEnabled FinancingProductType SubscriptionPaymentsSetting "
        "TxnRetainageDetail"
    ),
}

REFUND_RECEIPT: Fields = {
    **_SALE,
    **_PAID,
    "PaymentRefNum": text(100),
    "PaymentType": choice("Cash", "Check", "CreditCard", "Other", "Expense"),
    **known("TxnStatus SalesTermRef DueDate RemainingCredit RefundReceiptEx"),
}

CREDIT_MEMO: Fields = {
    **_SALE,
    **_TERMS,
    "InvoiceRef": ref("Invoice"),
    "RemainingCredit": readonly(number()),
    "PaymentMethodRef": readonly(ref("PaymentMethod")),
    **known("TxnStatus PaymentRefNum PaymentType CheckPayment CreditCardPayment DepositToAccountRef CreditMemoEx"),
}

ESTIMATE: Fields = {
    **_SALE,
    **_TERMS,
    "TxnStatus": choice("Accepted", "Closed", "Pending", "Rejected", "Converted"),
    "ExpirationDate": day(),
    "AcceptedBy": text(255),
    "AcceptedDate": day(),
    **known("PaymentMethodRef PaymentRefNum PaymentType CheckPayment CreditCardPayment DepositToAccountRef EstimateEx"),
}

PAYMENT: Fields = {
    **_TRANSACTION,
    "TotalAmt": number(),
    "UnappliedAmt": readonly(number()),
    "CustomerRef": ref("Customer"),
    "ARAccountRef": ref("Account"),
    **_PAID,
    "Line": many(nested(PAYMENT_LINE)),
    "ProcessPayment": flag(),
    "LinkedTxn": many(nested(LINKED)),
    **known("DocNumber TxnStatus TxnTaxDetail RemitToRef PaymentExtendedType PaymentEx"),
}

INVENTORY_ADJUSTMENT: Fields = {
    **_TRANSACTION,
    "DocNumber": text(21),
    "AdjustAccountRef": ref("Account"),
    "CustomerRef": ref("Customer"),
    "Line": many(nested(ADJUSTMENT_LINE)),
    **known("TxnStatus LinkedTxn TxnTaxDetail ShippingAdjustment"),
}
