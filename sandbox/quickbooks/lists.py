"""Property tables of the list entities: items, people, accounts, and the small lists."""

from __future__ import annotations

from sandbox.quickbooks.fields import (
    Fields,
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
from sandbox.quickbooks.parts import ADDRESS, COMMON, EMAIL, PERSON, PHONE, WEBSITE

GROUP_LINES: Fields = {
    "ItemGroupLine": many(nested({"ItemRef": ref("Item"), "Qty": number(), **known("UOMRef")})),
}

ITEM: Fields = {
    **COMMON,
    "Name": name(100),
    "Sku": text(100),
    "Description": text(4000),
    "PurchaseDesc": text(1000),
    **several("UnitPrice PurchaseCost QtyOnHand ReorderPoint", number()),
    **several("Active SubItem Taxable SalesTaxIncluded PurchaseTaxIncluded TrackQtyOnHand", flag()),
    "Type": choice("Inventory", "NonInventory", "Service", "Category", "Group"),
    "ParentRef": ref("Item"),
    **several("IncomeAccountRef ExpenseAccountRef AssetAccountRef", ref("Account")),
    **several("SalesTaxCodeRef PurchaseTaxCodeRef", ref("TaxCode")),
    "ClassRef": ref("Class"),
    "PrefVendorRef": ref("Vendor"),
    "InvStartDate": day(),
    "FullyQualifiedName": readonly(text()),
    "Level": readonly(whole()),
    "ItemGroupDetail": nested(GROUP_LINES),
    "PrintGroupedItems": flag(),
    **known(
        "PercentBased RatePercent PaymentMethodRef UOMSetRef COGSAccountRef AvgCost QtyOnPurchaseOrder "
        "QtyOnSalesOrder ManPartNum DepositToAccountRef BuildPoint SpecialItem SpecialItemType ItemAssemblyDetail "
        "AbatementRate ReverseChargeRate ServiceType ItemCategoryType ItemEx TaxClassificationRef UQCDisplayText "
        "UQCId Source DeferredRevenue CustomExtensions"
    ),
}

CUSTOMER: Fields = {
    **PERSON,
    "FullyQualifiedName": readonly(text()),
    **several("BillAddr ShipAddr", nested(ADDRESS)),
    "Notes": text(2000),
    **several("Taxable Job BillWithParent IsProject", flag()),
    "DefaultTaxCodeRef": ref("TaxCode"),
    "PrimaryTaxIdentifier": text(20),
    "SecondaryTaxIdentifier": text(20),
    "ResaleNum": text(16),
    "PaymentMethodRef": ref("PaymentMethod"),
    "SalesTermRef": ref("Term"),
    "CurrencyRef": ref("Currency"),
    "PreferredDeliveryMethod": choice("Print", "Email", "None"),
    "ParentRef": ref("Customer"),
    "Level": readonly(whole()),
    **several("Balance BalanceWithJobs", readonly(number())),
    **known(
        "ContactName AltContactName Source "
        "RootCustomerRef CustomerTypeRef SalesRepRef TaxGroupCodeRef TaxRateRef CCDetail PriceLevelRef "
        "OpenBalanceDate CreditLimit AcctNum OverDueBalance TotalRevenue TotalExpense JobInfo TDSEnabled CustomerEx "
        "ARAccountRef TaxExemptionReasonId BusinessNumber GSTIN GSTRegistrationType IsCISContractor ClientCompanyId "
        "ClientEntityId TaxRegime"
    ),
}

VENDOR: Fields = {
    **PERSON,
    **several("BillAddr ShipAddr", nested(ADDRESS)),
    "AcctNum": text(100),
    "TaxIdentifier": text(20),
    "TermRef": ref("Term"),
    "CurrencyRef": ref("Currency"),
    "Balance": readonly(number()),
    **known(
        "ContactName AltContactName Source "
        "FullyQualifiedName DefaultTaxCodeRef Notes TaxCountry TaxIdEffectiveDate BusinessNumber ParentRef "
        "VendorTypeRef PrefillAccountRef BillRate OpenBalanceDate CreditLimit Vendor1099 T4AEligible T5018Eligible "
        "TDSEnabled TaxReportingBasis APAccountRef VendorEx GSTIN GSTRegistrationType HasTPAR "
        "VendorPaymentBankDetail CostRate CompanyRegistrationNumber"
    ),
}

EMPLOYEE: Fields = {
    **PERSON,
    "PrimaryAddr": nested(ADDRESS),
    "EmployeeNumber": text(100),
    **several("BirthDate HiredDate ReleasedDate", day()),
    **known(
        "FullyQualifiedName DefaultTaxCodeRef EmployeeType SSN BillableTime BillRate Gender UseTimeEntry EmployeeEx "
        "CostRate Notes"
    ),
}

PAYMENT_METHOD: Fields = {
    **COMMON,
    "Name": name(31),
    "Active": flag(),
    "Type": choice("CREDIT_CARD", "NON_CREDIT_CARD"),
    **known("PaymentMethodEx"),
}

TERM: Fields = {
    **COMMON,
    "Name": name(31),
    "Active": flag(),
    "Type": choice("STANDARD", "DATE_DRIVEN"),
    "DiscountPercent": number(),
    **several("DueDays DiscountDays DayOfMonthDue DueNextMonthDays DiscountDayOfMonth", whole()),
    **known("SalesTermEx"),
}

CLASS: Fields = {
    **COMMON,
    "Name": name(100),
    **several("Active SubClass", flag()),
    "ParentRef": ref("Class"),
    "FullyQualifiedName": readonly(text()),
    **known("ClassEx"),
}

DEPARTMENT: Fields = {
    **COMMON,
    "Name": name(100),
    **several("Active SubDepartment", flag()),
    "ParentRef": ref("Department"),
    "FullyQualifiedName": readonly(text()),
    "Address": nested(ADDRESS),
    **known("DepartmentEx"),
}

ACCOUNT_TYPES: dict[str, str] = {
    "Bank": "Asset",
    "Accounts Receivable": "Asset",
    "Other Current Asset": "Asset",
    "Fixed Asset": "Asset",
    "Other Asset": "Asset",
    "Accounts Payable": "Liability",
    "Credit Card": "Liability",
    "Other Current Liability": "Liability",
    "Long Term Liability": "Liability",
    "Equity": "Equity",
    "Income": "Revenue",
    "Other Income": "Revenue",
    "Cost of Goods Sold": "Expense",
    "Expense": "Expense",
    "Other Expense": "Expense",
}
"""Account type -> classification."""

ACCOUNT: Fields = {
    **COMMON,
    "Name": name(100),
    "AcctNum": text(20),
    "Description": text(4000),
    **several("Active SubAccount", flag()),
    "ParentRef": ref("Account"),
    "AccountType": choice(*ACCOUNT_TYPES),
    "AccountSubType": text(100),
    "Classification": readonly(text()),
    "FullyQualifiedName": readonly(text()),
    "CurrencyRef": ref("Currency"),
    "TaxCodeRef": ref("TaxCode"),
    **several("CurrentBalance CurrentBalanceWithSubAccounts", readonly(number())),
    **known(
        "AccountAlias TxnLocationType AccountPurposes AcctNumExtn BankNum OpeningBalance OpeningBalanceDate "
        "TaxAccount OnlineBankingEnabled FIName JournalCodeRef AccountEx"
    ),
}

RATE_LIST: Fields = {
    "TaxRateDetail": many(
        nested(
            {"TaxRateRef": ref("TaxRate"), "TaxTypeApplicable": text(), "TaxOrder": whole(), "TaxOnTaxOrder": whole()}
        )
    )
}

TAX_CODE: Fields = {
    **COMMON,
    "Name": name(100),
    "Description": text(100),
    **several("Active Hidden Taxable TaxGroup", flag()),
    **several("SalesTaxRateList PurchaseTaxRateList", nested(RATE_LIST)),
}

EFFECTIVE_RATE: Fields = {"RateValue": number(), "EffectiveDate": moment(), "EndDate": moment()}

TAX_RATE: Fields = {
    **COMMON,
    "Name": name(100),
    "Description": text(100),
    "Active": flag(),
    "RateValue": number(),
    "AgencyRef": ref("TaxAgency"),
    "EffectiveTaxRate": many(nested(EFFECTIVE_RATE)),
    **several("SpecialTaxType DisplayType", text()),
}

TAX_AGENCY: Fields = {
    **COMMON,
    "DisplayName": name(100),
    **several("TaxTrackedOnPurchases TaxTrackedOnSales", flag()),
    **several("TaxRegistrationNumber LastFileDate TaxAgencyConfig", text()),
}

NAME_VALUE: Fields = {"Name": text(), "Value": text()}

COMPANY_INFO: Fields = {
    **COMMON,
    **several("CompanyName LegalName Country SupportedLanguages DefaultTimeZone", text(1024)),
    **several("CompanyAddr LegalAddr CustomerCommunicationAddr", nested(ADDRESS)),
    **several("Email CustomerCommunicationEmailAddr", nested(EMAIL)),
    "PrimaryPhone": nested(PHONE),
    "WebAddr": nested(WEBSITE),
    "CompanyStartDate": day(),
    "FiscalYearStartMonth": text(),
    "NameValue": many(nested(NAME_VALUE)),
}

PREFERENCES: Fields = {
    **COMMON,
    "AccountingInfoPrefs": nested(
        {
            **several("TrackDepartments ClassTrackingPerTxn ClassTrackingPerTxnLine UseAccountNumbers", flag()),
            **several("DepartmentTerminology CustomerTerminology FirstMonthOfFiscalYear TaxYearMonth", text()),
            "BookCloseDate": day(),
        }
    ),
    "SalesFormsPrefs": nested(
        {
            **several("CustomTxnNumbers AllowDeposit AllowDiscount AllowShipping AllowEstimates", flag()),
            **several("AutoApplyCredit AutoApplyPayments ETransactionPaymentEnabled AllowServiceDate", flag()),
            **several("DefaultDiscountAccount DefaultShippingAccount", text()),
            "DefaultTerms": ref("Term"),
            **known("CustomField"),
        }
    ),
    "ProductAndServicesPrefs": nested(several("ForSales ForPurchase QuantityWithPriceAndRate QuantityOnHand", flag())),
    "TaxPrefs": nested(several("UsingSalesTax PartnerTaxEnabled", flag())),
    "CurrencyPrefs": nested({"MultiCurrencyEnabled": flag(), "HomeCurrency": ref("Currency")}),
    "OtherPrefs": nested({"NameValue": many(nested(NAME_VALUE))}),
    **known("EmailMessagesPrefs VendorAndPurchasesPrefs TimeTrackingPrefs ReportPrefs AdvancedInventoryPrefs"),
}
