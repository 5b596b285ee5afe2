"""Every request the gateway can make is valid against the vendor's own schema, not only against our reading of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree

from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.mpluskassa.wire_catalogue import to_read_product
from mapping.records import Article, ArticleGroup, Product, Relation, SaleKind, TillAddress
from tests.gateway.connectors.mpluskassa.soap_server import COMPACT_WSDL, IDENT, REAL_WSDL, SECRET, SoapServer, says
from tests.gateway.connectors.mpluskassa.test_products import RAW

XSD = "http://www.w3.org/2001/XMLSchema"
ENCODING = b"""<schema xmlns="http://www.w3.org/2001/XMLSchema"
 targetNamespace="http://schemas.xmlsoap.org/soap/encoding/">
 <simpleType name="base64"><restriction base="base64Binary"/></simpleType></schema>"""

ARTICLE = Article(
    ext_id="Q-1",
    plu="KOF",
    active=True,
    description="Koffie & thee",
    receipt_text="Koffie",
    turnover_group=3,
    vat_code=2,
    price_incl_cents=300,
    stock_article=True,
    custom_fields={"Merk": "x", "Vers": date(2026, 1, 2), "Kg": Decimal("0.25"), "Bio": True, "Soort": (1, 2)},
)
RELATION = Relation(
    number=5,
    name="Jansen",
    ext_id="Q-1",
    email="jan@example.nl",
    address=TillAddress(street="Dam 1", postal_code="1000AA", city="Amsterdam", country="NL"),
    payment_days=14,
    vat_method="VAT-METHOD-INCLUSIVE",
)
GROUP = ArticleGroup(7, "Dranken", "Alle dranken", parent=1, sort_order=2)
DAY = date(2026, 3, 29)


def existing_product() -> Any:
    raw = copy.deepcopy(RAW)
    preparation = {"closeAfterSelection": True, "maxOneSelection": False, "selectionRequired": False}
    raw["articleList"]["article"][1]["preparationMethodList"] = {"preparationMethod": [preparation]}
    return to_read_product(raw)


VERBS: dict[str, Callable[[MplusKassa], object]] = {
    "getApiVersion": lambda kassa: kassa.api_version(),
    "getCurrentSyncMarkersV2": lambda kassa: kassa.sync_markers(),
    "getBranches": lambda kassa: kassa.branches(),
    "getVatGroupList": lambda kassa: kassa.vat_groups(),
    "getTurnoverGroups": lambda kassa: kassa.turnover_groups(),
    "getPaymentMethodsV2": lambda kassa: kassa.payment_methods(),
    "getJournals": lambda kassa: kassa.journals(DAY, DAY, [1, 2]),
    "getProducts": lambda kassa: kassa.product_of_article(100),
    "getProducts by PLU": lambda kassa: kassa.products_by_plu(["KOF", "THEE"]),
    "createProduct": lambda kassa: kassa.create_product(Product(None, "Koffie", (ARTICLE,), group_numbers=(1,))),
    "updateProduct": lambda kassa: kassa.update_product(Product(10, "Nieuw", (ARTICLE,)), existing_product()),
    "getArticleGroups": lambda kassa: kassa.article_groups([1]),
    "newArticleGroup": lambda kassa: kassa.create_article_group(GROUP),
    "updateArticleGroup": lambda kassa: kassa.update_article_group(GROUP),
    "deleteArticleGroup": lambda kassa: kassa.delete_article_group(7),
    "addProductsToArticleGroup": lambda kassa: kassa.add_products_to_group(7, [10, 11]),
    "deleteProductsFromArticleGroup": lambda kassa: kassa.delete_products_from_group(7, [10]),
    "getStock": lambda kassa: kassa.stock(1, [100]),
    "getStock of all": lambda kassa: kassa.stock(1),
    "getStockHistoryV2": lambda kassa: kassa.stock_changes([1], 5, 100),
    "updateStock": lambda kassa: kassa.update_stock(1, 100, Decimal("-2.5"), employee=1, reference="QBO"),
    "getRelation": lambda kassa: kassa.relation(5),
    "getRelations": lambda kassa: kassa.relations_since(1, 100),
    "findRelationV2": lambda kassa: kassa.find_relation_by_email("jan@example.nl"),
    "findRelationV2 by id": lambda kassa: kassa.find_relation_by_ext_id("Q-1"),
    "createRelation": lambda kassa: kassa.create_relation(RELATION),
    "updateRelation": lambda kassa: kassa.update_relation(RELATION, Relation(RELATION.number, "")),
    "getReceipts": lambda kassa: kassa.sales(SaleKind.RECEIPT, ["r-1"]),
    "getReceipts since": lambda kassa: kassa.sales_since(SaleKind.RECEIPT, 1, 100),
    "getReceipts of a day": lambda kassa: kassa.sales_of_day(SaleKind.RECEIPT, DAY),
    "getInvoices": lambda kassa: kassa.sales(SaleKind.INVOICE, ["i-1"]),
    "getInvoices since": lambda kassa: kassa.sales_since(SaleKind.INVOICE, 1, 100, with_lines=True),
    "getInvoices by number": lambda kassa: kassa.find_sale("2026.12"),
    "getOrders": lambda kassa: kassa.sales(SaleKind.ORDER, ["o-1"]),
    "getOrders since": lambda kassa: kassa.sales_since(SaleKind.ORDER, 1, 100),
}


@pytest.fixture(scope="module")
def wsdl() -> bytes:
    if not REAL_WSDL.exists():
        pytest.skip("the vendor's WSDL is not on this machine")
    return REAL_WSDL.read_bytes()


@pytest.fixture(scope="module")
def schema(wsdl: bytes, tmp_path_factory: pytest.TempPathFactory) -> etree.XMLSchema:
    folder = tmp_path_factory.mktemp("schema")
    (folder / "encoding.xsd").write_bytes(ENCODING)
    definition = next(etree.fromstring(wsdl).iter(f"{{{XSD}}}schema"))
    next(definition.iter(f"{{{XSD}}}import")).set("schemaLocation", str(folder / "encoding.xsd"))
    # Written out and read again, so that the prefixes declared further up come along.
    return etree.XMLSchema(etree.fromstring(etree.tostring(definition)))


@pytest.fixture(scope="module")
def till(wsdl: bytes) -> Any:
    """The client over the vendor's WSDL, at a server that answers nothing useful."""
    with SoapServer(says(""), wsdl) as server:
        yield MplusKassa(server.url, IDENT, SECRET), server


@pytest.mark.parametrize("name", VERBS)
def test_the_request_is_valid_against_the_vendors_schema(name: str, till: Any, schema: etree.XMLSchema) -> None:
    client, server = till
    before = len(server.posts)
    with pytest.raises(Exception, match="not a SOAP envelope with a body"):
        VERBS[name](client)
    asked = server.posts[before]
    assert asked.operation == name.split(maxsplit=1)[0]
    schema.assertValid(asked.envelope[-1][0])


def test_the_schema_check_can_fail(schema: etree.XMLSchema) -> None:
    wrong = etree.fromstring(
        '<getProducts xmlns="urn:mplusqapi"><request><articleNumbers>1</articleNumbers></request></getProducts>'
    )
    assert not schema.validate(wrong)


def test_nothing_the_gateway_needs_is_missing_at_the_vendor(till: Any) -> None:
    client, _ = till
    assert client.missing_operations() == ()


def test_no_operation_is_demanded_that_the_gateway_does_not_call() -> None:
    without = COMPACT_WSDL.replace(b'operation name="', b'operation name="no')
    with SoapServer(says(""), without) as server:
        demanded = set(MplusKassa(server.url, IDENT, SECRET).missing_operations())
    assert len(demanded) > 20
    assert demanded - {name.split(maxsplit=1)[0] for name in VERBS} == set()
