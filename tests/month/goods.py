"""What the shop of the month sells and to whom, on both sides, and the settings that book every kind of sale."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks import tax_service
from sandbox.quickbooks.demo import tax_code_id
from sandbox.quickbooks.simulation import Simulation as Books
from tests.month import stockroom

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Article:
    """An article of the till and its item in the books; the price includes VAT."""

    number: int
    price: str
    rate: int
    vat_code: int
    group: int
    account: str = "Sales of Product Income"


GOODS = (
    Article(3001, "12.50", 21, 2, 1),
    Article(3002, "3.33", 9, 1, 4),
    Article(3003, "99.99", 21, 2, 2),
    Article(3004, "0.85", 9, 1, 4),
    Article(3005, "7.45", 0, 0, 5),
    Article(3007, "18.90", 9, 1, 3),
)
WEIGHED = 3007
THREE = 3003
SERVICES = 5
"""The turnover group of amounts without an article."""

TIP = Article(3090, "0.00", 0, 0, 5, "Tips Payable")
GIFT_CARD = Article(3091, "25.00", 0, 0, 90, "Gift Cards Outstanding")
DEPOSIT = Article(3006, "0.15", 0, 0, 80, "Customer Deposits")
MENU = Article(3093, "0.00", 21, 2, 4)
"""Composite: it costs nothing itself, its components do, at VAT rates of their own."""

GERMAN_VAT_CODE, GERMAN_RATE = 3, 19

SETTINGS = f"""{stockroom.SETTINGS}[mapping]
shifted_tax_code = "0% BTW"
no_vat_tax_code = "0% BTW"
tip_articles = [{TIP.number}]
gift_card_tenders = ["BON"]
special_items = {{ tip = "{TIP.number}", gift_card = "{GIFT_CARD.number}", deposit = "{DEPOSIT.number}" }}
[mapping.tax_codes]
table = {{ "DEU:19" = "19% DE" }}
[mapping.deposit_accounts]
on_miss = "skip"
table = {{ PIN = "Bank", CONTANT = "Cash on hand" }}
[mapping.income_accounts]
on_miss = "skip"
table = {{ ":{SERVICES}" = "Sales of Product Income", DEU = "Sales EU" }}
[orders]
summary_item = "3001"
"""
BY_DAY = f'{SETTINGS}summary = "day"\n[stock]\nenabled = false\n'.replace(
    stockroom.SETTINGS, "[products]\nvariants = true\n"
)

_PEOPLE = (
    ("Bakkerij Jansen", "bakker@example.nl", "Nederland"),
    ("Jan de Vries", "jan@example.nl", "Nederland"),
    ("Cafe Zon", "zon@example.nl", ""),
    ("Hans Schmidt", "hans@example.de", "Duitsland"),
    ("Friterie du Parc", "parc@example.be", "Belgie"),
    ("Smith Inc", "smith@example.com", "Verenigde Staten"),
)


@dataclass(frozen=True, slots=True)
class People:
    """Relation numbers by where they live."""

    home: tuple[int, ...]
    germany: int
    belgium: int
    overseas: int

    @property
    def everybody(self) -> tuple[int, ...]:
        """All of them."""
        return (*self.home, self.germany, self.belgium, self.overseas)


def keep_several_currencies(books: Books, realm: str) -> None:
    """The company keeps several currencies; its own is the till's."""
    books.set_preference(realm, "CurrencyPrefs", "MultiCurrencyEnabled", True)
    books.set_preference(realm, "CurrencyPrefs", "HomeCurrency", {"value": "EUR"})


def furnish(books: Books, realm: str, till: Till) -> People:
    """Put goods and people into both systems."""
    _add_german_vat(books, realm, till)
    for article in (*GOODS, TIP, GIFT_CARD, DEPOSIT, MENU):
        _add_item(books, realm, article)
        _add_article(till, article)
    numbers = [
        int(till.add_relation(name=name, email=email, country=country)["relationNumber"])
        for name, email, country in _PEOPLE
    ]
    return People(tuple(numbers[:3]), *numbers[3:])


def _add_german_vat(books: Books, realm: str, till: Till) -> None:
    with till.lock:
        for branch in (1, 2):
            row = till.till["vat_groups"].get(f"{branch}/2")
            own = {
                "_key": f"{branch}/{GERMAN_VAT_CODE}",
                "vatCode": GERMAN_VAT_CODE,
                "vatPercentage": GERMAN_RATE * 100,
            }
            till.till["vat_groups"].put({**row, **own})
    with books.lock:
        company = books.companies[realm]
        agency = books.rows(realm, "TaxAgency")[0]["Id"]
        rate = {"TaxRateName": "19% DE (Sales)", "RateValue": "19", "TaxAgencyId": agency, "TaxApplicableOn": "Sales"}
        tax_service.create(company, {"TaxCode": "19% DE", "TaxRateDetails": [rate]})


def _add_item(books: Books, realm: str, article: Article) -> None:
    account = books.find(realm, "Account", Name=article.account)
    assert account is not None, article.account
    body = {
        "Name": f"Item {article.number}",
        "Sku": str(article.number),
        "Type": "NonInventory",
        "UnitPrice": Decimal(article.price),
        "SalesTaxIncluded": True,
        "SalesTaxCodeRef": {"value": tax_code_id(books.companies[realm], article.rate)},
        "IncomeAccountRef": {"value": account["Id"]},
    }
    books.put_item(realm, body)


def _add_article(till: Till, article: Article) -> None:
    text = f"Item {article.number}"
    row = {
        "articleNumber": article.number,
        "description": text,
        "priceIncl": int(Decimal(article.price) * 100),
        "vatCode": article.vat_code,
        "turnoverGroup": article.group,
    }
    till.add_product({"description": text, "articleList": {"article": [row]}})
