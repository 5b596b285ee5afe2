"""Products: unique numbers, required fields, prices that belong together, and what happens to fields not sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.mpluskassa.conftest import SWEATER, Sandbox


def find_article(service: Any, number: int) -> Any:
    products = service.getProducts(request={"pluNumbers": {}, "articleNumbers": [number]})
    return products[0].articleList.article[0]


def create(service: Any, *articles: dict[str, Any], **product: Any) -> Any:
    return service.createProduct(product={**product, "articleList": {"article": list(articles)}})


HAT = {"description": "Hoed", "vatCode": 2, "turnoverGroup": 2}


def test_a_taken_article_number_is_refused_by_name(till: Any) -> None:
    answer = create(till, {**HAT, "articleNumber": 1001})
    assert answer.result == "CREATE-PRODUCT-RESULT-FAILED-ARTICLE-NUMBER-ALREADY-TAKEN"
    assert "1001" in answer.errorMessage


def test_a_taken_product_number_is_refused_by_name(till: Any) -> None:
    answer = create(till, HAT, productNumber=10)
    assert answer.result == "CREATE-PRODUCT-RESULT-FAILED-PRODUCT-NUMBER-ALREADY-TAKEN"


def test_a_number_twice_in_one_product_is_refused(service: Any) -> None:
    twice = {**HAT, "articleNumber": 3001}
    assert create(service, twice, twice).result == "CREATE-PRODUCT-RESULT-FAILED-ARTICLE-NUMBER-ALREADY-TAKEN"


def test_numbers_left_out_are_given_by_the_till(service: Any, sandbox: Sandbox) -> None:
    answer = create(service, HAT, {**HAT, "articleNumber": 9000}, HAT)
    assert answer.productNumber == 21
    assert answer.articleNumbers == [9001, 9000, 9002]
    assert [entry["effect"] for entry in sandbox.simulation.till.ledger[-1:]] == ["createProduct"]


@pytest.mark.parametrize("field", ["description", "vatCode", "turnoverGroup"])
def test_a_required_field_left_out_fails_by_name(service: Any, field: str) -> None:
    answer = create(service, {key: value for key, value in HAT.items() if key != field})
    assert answer.result == "CREATE-PRODUCT-RESULT-FAILED"
    assert field in answer.errorMessage


@pytest.mark.parametrize(("field", "value"), [("vatCode", 7), ("turnoverGroup", 777)])
def test_an_unknown_code_fails(service: Any, field: str, value: int) -> None:
    answer = create(service, {**HAT, field: value})
    assert (answer.result, str(value) in answer.errorMessage) == ("CREATE-PRODUCT-RESULT-FAILED", True)


def test_a_failed_create_leaves_nothing_behind(service: Any, sandbox: Sandbox) -> None:
    before = sandbox.simulation.describe()["counts"]
    create(service, {**HAT, "articleNumber": 4001}, {**HAT, "articleNumber": 1001})
    assert sandbox.simulation.describe()["counts"] == before


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"priceIncl": 1995}, (1995, 1649)),
        ({"priceExcl": 1649}, (1995, 1649)),
        ({"priceExcl": 1000}, (1210, 1000)),
        ({"priceIncl": 1995, "priceExcl": 1}, (1995, 1649)),
        ({}, (0, 0)),
    ],
)
def test_one_price_follows_from_the_other(service: Any, sent: dict[str, int], expected: tuple[int, int]) -> None:
    number = create(service, {**HAT, **sent}).articleNumbers[0]
    article = find_article(service, number)
    assert (article.priceIncl, article.priceExcl) == expected


def test_an_update_needs_a_known_product_number(till: Any) -> None:
    without = till.updateProduct(product={"articleList": {"article": [dict(SWEATER)]}})
    unknown = till.updateProduct(product={"productNumber": 404})
    assert [without.result, unknown.result] == ["UPDATE-PRODUCT-RESULT-NOT-FOUND"] * 2


def test_an_article_moves_to_the_product_that_names_it_where_allowed(service: Any, sandbox: Sandbox) -> None:
    product = {"productNumber": 20, "articleList": {"article": [dict(SWEATER)]}}
    sandbox.simulation.till.switches.moves_articles = False
    answer = service.updateProduct(product=product)
    assert answer.result == "UPDATE-PRODUCT-RESULT-FAILED-ARTICLE-NUMBER-ALREADY-TAKEN"
    sandbox.simulation.till.switches.moves_articles = True
    answer = service.updateProduct(product=product)
    assert (answer.result, answer.existingArticleNumbers) == ("UPDATE-PRODUCT-RESULT-OK", [1001])
    request = {"pluNumbers": {}, "articleNumbers": [1001], "includeAllArticlesOfSelectedProducts": True}
    (found,) = service.getProducts(request=request)
    assert found.productNumber == 20


def test_a_product_without_articles_is_made_only_where_the_till_allows_it(service: Any, sandbox: Sandbox) -> None:
    assert create(service, description="Leeg").result == "CREATE-PRODUCT-RESULT-OK"
    sandbox.simulation.till.switches.empty_products = False
    assert create(service, description="Leeg").result == "CREATE-PRODUCT-RESULT-FAILED"


def update_sweater(service: Any, **changed: Any) -> Any:
    kept = {"articleNumber": 1001, "description": "Trui", "vatCode": 2, "turnoverGroup": 1}
    return service.updateProduct(product={"productNumber": 10, "articleList": {"article": [{**kept, **changed}]}})


def test_by_default_an_update_clears_what_it_leaves_out(service: Any) -> None:
    answer = update_sweater(service, priceIncl=2500)
    article = find_article(service, 1001)
    assert answer.existingArticleNumbers == [1001]
    assert (article.priceIncl, article.pluNumber, article.stockArticle) == (2500, None, False)


def test_a_simulation_told_to_keep_leaves_the_rest_alone(service: Any, sandbox: Sandbox) -> None:
    sandbox.simulation.till.switches.omitted_fields = "keep"
    update_sweater(service, priceIncl=2500)
    article = find_article(service, 1001)
    assert (article.priceIncl, article.pluNumber, article.stockArticle) == (2500, "TRUI-M", True)


def test_articles_that_an_update_does_not_name_stay(service: Any) -> None:
    update_sweater(service, articleNumber=1002, size="L")
    answer = service.getProducts(request={"pluNumbers": {}, "productNumbers": [10]})
    assert [article.articleNumber for article in answer[0].articleList.article] == [1001, 1002]


def test_filters_pick_articles_and_siblings_come_on_request(service: Any) -> None:
    update_sweater(service, articleNumber=1002, active=False)
    request: dict[str, Any] = {"pluNumbers": {}, "articleNumbers": [1002]}
    alone = service.getProducts(request=request)[0].articleList.article
    family = service.getProducts(request={**request, "includeAllArticlesOfSelectedProducts": True})
    active = service.getProducts(request={**request, "onlyActive": True})
    assert [article.articleNumber for article in alone] == [1002]
    assert len(family[0].articleList.article) == 2
    assert not active


def test_a_plu_number_finds_its_article(service: Any) -> None:
    answer = service.getProducts(request={"pluNumbers": {"text": [{"text": "TRUI-M"}]}})
    assert [product.productNumber for product in answer] == [10]


def test_the_percentage_scale_holds_for_reading_and_writing(service: Any, sandbox: Sandbox) -> None:
    rates = {group.vatCode: group.vatPercentage for group in service.getVatGroupList()}
    sandbox.simulation.till.switches.percentage_scale = 100
    scaled = {group.vatCode: group.vatPercentage for group in service.getVatGroupList()}
    assert (rates, scaled) == ({0: 0, 1: 9, 2: 21}, {0: 0, 1: 900, 2: 2100})
    service.updateRelation(relation={"relationNumber": 501, "discountPercentage": 1250})
    assert sandbox.simulation.till["relations"].get(501)["discountPercentage"] == 1250


def test_group_numbers_of_a_product_are_its_memberships(service: Any) -> None:
    group = service.newArticleGroup(request={"parentGroupNumber": 0, "name": "Heren", "text": ""}).groupNumber
    service.updateProduct(product={"productNumber": 10, "groupNumbers": [group]})
    tree = service.getArticleGroups(request={"groupNumbers": [group], "retrieveArticleNumbers": True})
    assert (tree[0].productNumbers.number, tree[0].articleNumbers.number) == ([10], [1001])
    service.updateProduct(product={"productNumber": 10})
    assert not service.getArticleGroups(request={"groupNumbers": [group]})[0].productNumbers
