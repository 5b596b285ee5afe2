"""What the demo shop sells: its categories and goods as plain data, special cases included."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

SHOP = "Boer & Strik"

Kind = Literal["Inventory", "NonInventory", "Service"]


@dataclass(frozen=True, slots=True)
class Good:
    """One article of the shop.

    `price` is in euros including VAT (per kilo when `weighed`), without VAT when `net`. `stock` pieces or kilos make
    it an item whose quantity the books track. `resting` goods are inactive in the books.
    """

    sku: str
    name: str
    category: str
    vat: int
    price: Decimal
    stock: int | None = None
    weighed: bool = False
    net: bool = False
    service: bool = False
    resting: bool = False
    gift_card: bool = False
    description: str = ""

    @property
    def kind(self) -> Kind:
        """The item type in the books."""
        if self.service:
            return "Service"
        return "NonInventory" if self.stock is None else "Inventory"

    @property
    def number(self) -> int | None:
        """The article number a till can give it; None for a SKU that is not a number."""
        return int(self.sku) if self.sku.isdecimal() else None


CATEGORIES: tuple[tuple[str, str | None], ...] = (
    ("Kaas", None),
    ("Boerenkaas", "Kaas"),
    ("Buitenlandse kaas", "Kaas"),
    ("Delicatessen", None),
    ("Noten en zuidvruchten", "Delicatessen"),
    ("Zoet en hartig", "Delicatessen"),
    ("Dranken", None),
    ("Cadeaus", None),
    ("Aan tafel", "Cadeaus"),
    ("Relatiegeschenken", "Cadeaus"),
    ("Kaarten en bonnen", "Cadeaus"),
    ("Diensten", None),
)
"""Name and parent, parents first."""

TIDYINGS: tuple[tuple[str, Literal["Name", "ParentRef"], str], ...] = (
    ("Kaarten en bonnen", "Name", "Kaarten en cadeaubonnen"),
    ("Relatiegeschenken", "ParentRef", "Delicatessen"),
    ("Kaarten en cadeaubonnen", "Name", "Kaarten en bonnen"),
    ("Relatiegeschenken", "ParentRef", "Cadeaus"),
)
"""What the bookkeeper does to the categories, in turn: another name for one, another place for another, and back."""

POPULARITY: dict[str, int] = {
    "Boerenkaas": 9,
    "Buitenlandse kaas": 6,
    "Noten en zuidvruchten": 5,
    "Zoet en hartig": 5,
    "Dranken": 4,
    "Aan tafel": 2,
    "Relatiegeschenken": 1,
    "Kaarten en bonnen": 2,
    "Diensten": 1,
}


def _kilo(sku: str, name: str, price: str, stock: int, category: str = "Boerenkaas", text: str = "") -> Good:
    return Good(sku, name, category, 9, Decimal(price), stock, weighed=True, description=text)


def _foreign(sku: str, name: str, price: str, stock: int, text: str = "") -> Good:
    return _kilo(sku, name, price, stock, "Buitenlandse kaas", text)


def _food(sku: str, name: str, category: str, price: str, stock: int | None = None, text: str = "") -> Good:
    return Good(sku, name, category, 9, Decimal(price), stock, description=text)


def _piece(sku: str, name: str, category: str, price: str, stock: int | None = None, text: str = "") -> Good:
    return Good(sku, name, category, 21, Decimal(price), stock, description=text)


def _variant(sku: str, product: str, attributes: str, price: str, stock: int) -> Good:
    return _piece(sku, f"{product} - {attributes}", "Aan tafel", price, stock)


def _business(sku: str, name: str, price: str, text: str = "") -> Good:
    return Good(sku, name, "Relatiegeschenken", 21, Decimal(price), net=True, description=text)


def _untaxed(sku: str, name: str, price: str, *, gift_card: bool = False) -> Good:
    return Good(sku, name, "Kaarten en bonnen", 0, Decimal(price), gift_card=gift_card)


def _service(sku: str, name: str, price: str, *, net: bool = False) -> Good:
    return Good(sku, name, "Diensten", 21, Decimal(price), net=net, service=True)


GOODS: tuple[Good, ...] = (
    _kilo("1001", "Boerenkaas jong", "13.95", 42),
    _kilo("1002", "Boerenkaas jong belegen", "15.50", 38),
    _kilo("1003", "Boerenkaas belegen", "16.95", 36),
    _kilo("1004", "Boerenkaas extra belegen", "18.95", 24),
    _kilo("1005", "Boerenkaas oud", "21.50", 20),
    _kilo("1006", "Boerenkaas overjarig", "24.95", 12, text="Brokkelig, twee jaar gerijpt op de plank"),
    _kilo("1007", "Komijnekaas", "15.95", 18),
    _kilo("1008", "Brandnetelkaas", "16.50", 9),
    _kilo("1009", "Geitenkaas jong", "19.95", 14),
    _kilo("1010", "Geitenkaas belegen", "22.50", 11),
    _kilo("1011", "Schapenkaas", "24.50", 8, text="Van schapen langs de Vecht; vanaf één ons te koop"),
    _foreign("1101", "Brie de Meaux", "21.95", 10),
    _foreign("1102", "Comté 18 maanden", "32.50", 15, "Uit de Franche-Comté, fruitig en zoet"),
    _foreign("1103", "Bleu crémeux", "27.50", 6, "Romige blauwe kaas, heerlijk bij crème de cassis"),
    _foreign("1104", "Gruyère réserve", "29.95", 12),
    _foreign("1105", "Manchego curado", "28.50", 9),
    _foreign("1106", "Parmigiano-Reggiano 24 maanden", "31.00", 18),
    _food("1107", "Époisses", "Buitenlandse kaas", "9.95", 14, "In het houten doosje, rijp om te lepelen"),
    _food("1108", "Mozzarella di bufala", "Buitenlandse kaas", "4.25", 40),
    _food("1201", "Gemengde noten geroosterd 250 g", "Noten en zuidvruchten", "5.95", 60),
    _food("1202", "Cashewnoten gezouten 250 g", "Noten en zuidvruchten", "6.50", 48),
    _food("1203", "Gedroogde abrikozen 200 g", "Noten en zuidvruchten", "4.25"),
    _food("1204", "Medjouldadels 400 g", "Noten en zuidvruchten", "7.95", 30),
    _food("1301", "Vijgencompote 180 g", "Zoet en hartig", "4.95", 36),
    _food("1302", "Rinse appelstroop 450 g", "Zoet en hartig", "3.65"),
    _food("1303", "Lavendelhoning 250 g", "Zoet en hartig", "8.75", 22, "Miel de lavande, geoogst in de Provence"),
    _food("1304", "Zaanse mosterd 170 g", "Zoet en hartig", "3.25", 50),
    _food("1305", "Roggetoast", "Zoet en hartig", "2.95"),
    _food("1306", "Crackers met zeezout", "Zoet en hartig", "2.75"),
    _food("1307", "Tapenade van zwarte olijven", "Zoet en hartig", "4.50", 25),
    _food("1308", "Droge worst met knoflook", "Zoet en hartig", "5.25", 40),
    _food("1309", "Stroopwafels 10 stuks", "Zoet en hartig", "3.95"),
    _food("1401", "Appelsap troebel 1 l", "Dranken", "3.75", 48),
    _piece("1402", "Rode port 75 cl", "Dranken", "14.95", 24),
    _piece("1403", "Riesling Spätlese 75 cl", "Dranken", "11.95", 36),
    _piece("1404", "Côtes du Rhône 75 cl", "Dranken", "10.50", 36),
    _piece("1405", "Abdijbier tripel 33 cl", "Dranken", "2.95", 72),
    _piece("2001000010011", "Kaasplank eikenhout", "Aan tafel", "29.95", 12),
    _piece("2001000010028", "Kaasmes roestvrij staal", "Aan tafel", "12.95", 20),
    _piece("2001000010035", "Kaasschaaf Delfts blauw", "Aan tafel", "17.50", 15),
    _piece("2001000010042", "Kaasstolp handgeblazen", "Aan tafel", "44.95", 5),
    _piece("2001000010059", "Fondueset zes personen", "Aan tafel", "69.00", 4),
    _piece("2001000010066", "Theedoek à carreaux", "Aan tafel", "8.95"),
    _piece("1501", "Servetten 20 stuks", "Aan tafel", "3.95"),
    _piece("1502", "Pindakaaspot aardewerk", "Aan tafel", "15.95", 8),
    _variant("1511", "Schort linnen", "Blauw / M", "24.95", 9),
    _variant("1512", "Schort linnen", "Blauw / L", "24.95", 11),
    _variant("1513", "Schort linnen", "Rood / M", "24.95", 8),
    _variant("1514", "Schort linnen", "Rood / L", "26.95", 12),
    _variant("1521", "Kaastas vilt", "Grijs", "16.50", 14),
    _variant("1522", "Kaastas vilt", "Donkergroen", "16.50", 10),
    _business("1601", "Relatiegeschenk klein", "20.62", "Kaas, mosterd en toast in een doos"),
    _business("1602", "Relatiegeschenk groot", "41.28", "Drie kazen, port en een kaasplank in een kist"),
    _business("1603", "Kaasplank leisteen met logo", "8.2231", "Prijs exclusief btw, gegraveerd vanaf 25 stuks"),
    _piece("1701", "Wenskaart", "Kaarten en bonnen", "2.95"),
    _untaxed("1702", "Cadeaubon 25 euro", "25.00", gift_card=True),
    _untaxed("1703", "Cadeaubon 10 euro", "10.00", gift_card=True),
    _untaxed("1704", "Postzegels 10 stuks", "12.10"),
    _service("1801", "Inpakken als cadeau", "2.50"),
    _service("1802", "Bezorgen in de stad", "5.74", net=True),
    _service("1803", "Kaasproeverij per persoon", "24.50"),
    Good("KADO-01", "Geschenkmand op maat", "Relatiegeschenken", 21, Decimal("45.00")),
    Good("", "Diverse artikelen", "Aan tafel", 21, Decimal("5.00")),
    Good("1901", "Paaskaas", "Boerenkaas", 9, Decimal("18.50"), stock=0, weighed=True, resting=True),
    Good("1902", "Kerstpakket 2024", "Relatiegeschenken", 21, Decimal("35.00"), net=True, resting=True),
)

BUNDLE = ("Borrelpakket", "1951", ("1003", "1304", "1305"))
"""Name and SKU of the one bundle, and the SKUs in it."""

NOVELTIES: tuple[Good, ...] = (
    _kilo("1012", "Truffelkaas", "27.95", 8, text="Met zwarte zomertruffel"),
    _foreign("1109", "Morbier", "25.50", 7),
    _food("1205", "Pecannoten 200 g", "Noten en zuidvruchten", "7.25", 24),
    _food("1310", "Walnotenbrood", "Zoet en hartig", "4.75"),
    _piece("1406", "Sauternes 37,5 cl", "Dranken", "19.95", 12),
    _piece("2001000010073", "Kaasboor", "Aan tafel", "9.95", 10),
    _foreign("1110", "Tête de Moine", "34.95", 6, "Met de girolle tot roosjes geschaafd"),
    _food("1311", "Kweepeerpasta 150 g", "Zoet en hartig", "5.50", 20),
)
"""Goods that enter the books while the shop trades."""


def find_good(number: int) -> Good | None:
    """What the shop sells under an article number, or None."""
    return _BY_NUMBER.get(number)


_BY_NUMBER = {good.number: good for good in (*GOODS, *NOVELTIES) if good.number is not None}
