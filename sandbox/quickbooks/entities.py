"""The register of entities: their property table, what may be done to them, and what may be asked of them."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.quickbooks import lists, transactions
from sandbox.quickbooks.fields import Fields

_META = frozenset({"MetaData.CreateTime", "MetaData.LastUpdatedTime"})
_SMALL = frozenset({"Id", "Name", "Active"}) | _META
_TXN = frozenset({"Id", "DocNumber", "TxnDate", "CustomerRef"}) | _META
_TREE = _SMALL | {"FullyQualifiedName"}
_PEOPLE = frozenset(
    {"Id", "DisplayName", "GivenName", "MiddleName", "FamilyName", "CompanyName", "PrintOnCheckName", "Active"}
)


@dataclass(frozen=True, slots=True)
class Entity:
    """One kind of record.

    `verbs` are the writes the API offers; `events` the webhook operations it raises; `filters` and `sorts` the
    queryable properties; `name_field` the property that holds a list row's name; `series` the id sequence it shares.
    """

    name: str
    fields: Fields
    series: str
    name_field: str = ""
    verbs: frozenset[str] = frozenset()
    required: tuple[str, ...] = ()
    filters: frozenset[str] = frozenset()
    sorts: frozenset[str] = frozenset()
    events: frozenset[str] = frozenset()
    in_cdc: bool = True
    sale: bool = False
    parent_flag: str = ""

    @property
    def is_list(self) -> bool:
        """List rows are made inactive; transactions are deleted or voided."""
        return bool(self.name_field)

    @property
    def url(self) -> str:
        """The segment in the address."""
        return self.name.lower()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LIST_VERBS = _words("create update")
_TXN_VERBS = _words("create update delete void")
_LIST_EVENTS = _words("Create Update Delete Merge")
_SALE_EVENTS = _words("Create Update Delete Void Emailed")


def _small(
    name: str, fields: Fields, events: str, *, filters: frozenset[str] = _SMALL, parent_flag: str = ""
) -> Entity:
    return Entity(
        name,
        fields,
        series=name,
        name_field="Name",
        verbs=_LIST_VERBS,
        required=("Name",),
        filters=filters,
        sorts=filters,
        events=_words(events),
        parent_flag=parent_flag,
    )


def _person(name: str, fields: Fields, filters: frozenset[str]) -> Entity:
    return Entity(
        name,
        fields,
        series="Name",
        name_field="DisplayName",
        verbs=_LIST_VERBS,
        filters=filters | _META,
        sorts=filters | _META,
        events=_LIST_EVENTS,
    )


def _tax(name: str, fields: Fields, name_field: str = "Name") -> Entity:
    filters = frozenset({"Id", name_field, "Active"}) | _META
    return Entity(name, fields, series=name, name_field=name_field, filters=filters, sorts=filters, in_cdc=False)


def _sale(name: str, fields: Fields, required: str, more_filters: str = "") -> Entity:
    filters = _TXN | {"TotalAmt"} | _words(more_filters)
    return Entity(
        name,
        fields,
        series="Txn",
        verbs=_TXN_VERBS,
        required=tuple(required.split()),
        filters=filters,
        sorts=filters,
        events=_SALE_EVENTS,
        sale=True,
    )


_ALL = (
    Entity(
        "Item",
        lists.ITEM,
        series="Item",
        name_field="Name",
        verbs=_LIST_VERBS,
        required=("Name",),
        filters=_TREE | {"Type", "Sku"},
        sorts=_TREE | {"Type", "Sku", "UnitPrice", "ParentRef", "QtyOnHand"},
        events=_LIST_EVENTS,
        parent_flag="SubItem",
    ),
    _person(
        "Customer", lists.CUSTOMER, _PEOPLE | {"FullyQualifiedName", "PrimaryEmailAddr", "PrimaryPhone", "Balance"}
    ),
    _person("Vendor", lists.VENDOR, _PEOPLE | {"Balance"}),
    _person("Employee", lists.EMPLOYEE, _PEOPLE - {"CompanyName"}),
    _small("PaymentMethod", lists.PAYMENT_METHOD, "Create Update Merge"),
    _small("Term", lists.TERM, "Create Update"),
    _small("Class", lists.CLASS, "Create Update Delete Merge", filters=_TREE, parent_flag="SubClass"),
    _small("Department", lists.DEPARTMENT, "Create Update Merge", filters=_TREE, parent_flag="SubDepartment"),
    _small(
        "Account",
        lists.ACCOUNT,
        "Create Update Delete Merge",
        filters=_TREE | {"Classification", "AccountType", "AccountSubType", "SubAccount", "CurrentBalance"},
        parent_flag="SubAccount",
    ),
    _tax("TaxCode", lists.TAX_CODE),
    _tax("TaxRate", lists.TAX_RATE),
    _tax("TaxAgency", lists.TAX_AGENCY, "DisplayName"),
    _sale("SalesReceipt", transactions.SALES_RECEIPT, "Line"),
    _sale("Invoice", transactions.INVOICE, "Line CustomerRef", "DueDate SalesTermRef Balance ClassRef DepartmentRef"),
    _sale("RefundReceipt", transactions.REFUND_RECEIPT, "Line DepositToAccountRef"),
    _sale("CreditMemo", transactions.CREDIT_MEMO, "Line CustomerRef"),
    Entity(
        "Estimate",
        transactions.ESTIMATE,
        series="Txn",
        verbs=_words("create update delete"),
        required=("Line", "CustomerRef"),
        filters=_TXN | {"TotalAmt", "TxnStatus"},
        sorts=_TXN | {"TotalAmt"},
        events=_words("Create Update Delete Emailed"),
        sale=True,
    ),
    Entity(
        "Payment",
        transactions.PAYMENT,
        series="Txn",
        verbs=_TXN_VERBS,
        required=("TotalAmt", "CustomerRef"),
        filters=frozenset({"Id", "TxnDate", "CustomerRef", "PaymentRefNum"}) | _META,
        sorts=frozenset({"Id", "TxnDate", "PaymentRefNum", "TotalAmt"}) | _META,
        events=_SALE_EVENTS,
    ),
    Entity(
        "InventoryAdjustment",
        transactions.INVENTORY_ADJUSTMENT,
        series="Txn",
        verbs=_words("create update delete"),
        required=("AdjustAccountRef", "Line"),
        filters=frozenset({"Id", "DocNumber", "TxnDate"}) | _META,
        sorts=frozenset({"Id", "DocNumber", "TxnDate"}) | _META,
    ),
    Entity("CompanyInfo", lists.COMPANY_INFO, series="CompanyInfo", verbs=_words("update"), in_cdc=False),
    Entity("Preferences", lists.PREFERENCES, series="Preferences", verbs=_words("update"), events=_words("Update")),
)

ENTITIES: dict[str, Entity] = {each.name: each for each in _ALL}
BY_URL: dict[str, Entity] = {each.url: each for each in _ALL}
SALES: tuple[str, ...] = tuple(each.name for each in _ALL if each.sale)
PEOPLE: tuple[str, ...] = ("Customer", "Vendor", "Employee")
