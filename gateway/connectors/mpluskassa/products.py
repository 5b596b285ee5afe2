"""The till's products: read, create, update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.connectors.mpluskassa.answers import ReadProduct
from gateway.connectors.mpluskassa.area import Area, chunks
from gateway.connectors.mpluskassa.wire import need, rows, to_text_list
from gateway.connectors.mpluskassa.wire_merge import to_soap
from gateway.connectors.mpluskassa.wire_products import to_read_product
from mapping.records import Product

_NUMBERS_AT_ONCE = 200


class Products(Area):
    """Products and their articles. Reads raise Transient, or Permanent and its kinds; writes Unanswered as well."""

    def product_of_article(self, number: int) -> ReadProduct | None:
        """The product an article belongs to, with all its other articles; None when there is no such article."""
        found = self._products(articleNumbers=[number], includeAllArticlesOfSelectedProducts=True)
        return next((each for each in found if any(one.number == number for one in each.product.articles)), None)

    def products_of_articles(self, numbers: Iterable[int]) -> tuple[ReadProduct, ...]:
        """The products these articles belong to, each once and whole, with one call per 200 numbers."""
        found: dict[int | None, ReadProduct] = {}
        for some in chunks(numbers, _NUMBERS_AT_ONCE):
            read = self._products(articleNumbers=some, includeAllArticlesOfSelectedProducts=True)
            found |= {each.product.number: each for each in read}
        return tuple(found.values())

    def product(self, number: int) -> ReadProduct | None:
        """A product by its own number, whole, or None."""
        found = self._products(productNumbers=[number], includeAllArticlesOfSelectedProducts=True)
        return next((each for each in found if each.product.number == number), None)

    def products_by_plu(self, plus: Iterable[str]) -> tuple[ReadProduct, ...]:
        """The products that hold an article with one of these PLU numbers, whole."""
        wanted = list(dict.fromkeys(plus))
        # Without a filter the till would send everything it has.
        if not wanted:
            return ()
        return self._products(pluNumbers=to_text_list(wanted), includeAllArticlesOfSelectedProducts=True)

    def create_product(self, product: Product) -> int:
        """Make a product with its articles; returns its number. Not idempotent: after Unanswered, look for it."""
        number: int = need(self._calls.write("createProduct", product=to_soap(product, None)), "productNumber")
        return number

    def update_product(self, product: Product, existing: ReadProduct) -> None:
        """Change the fields of the record; the rest of the product is sent back as it was read."""
        self._calls.write("updateProduct", product=to_soap(product, existing.raw))

    def create_empty_product(self, name: str, groups: tuple[int, ...]) -> ReadProduct:
        """Make a product that has no article yet. Not every installation may take one."""
        return to_empty_product(self.create_product(Product(None, name, (), groups)), name, groups)

    def move_article(self, number: int, source: ReadProduct, target: ReadProduct) -> None:
        """Move an article, with all its fields as read, to another product. Raises Permanent when refused."""
        row = next(row for row in rows(source.raw, "articleList", "article") if row.get("articleNumber") == number)
        joined = [*rows(target.raw, "articleList", "article"), row]
        body = to_soap(Product(target.product.number, None, ()), {**target.raw, "articleList": {"article": joined}})
        self._calls.write("updateProduct", product=body)

    def _products(self, **filters: Any) -> tuple[ReadProduct, ...]:
        # pluNumbers is required even without a PLU.
        answer = self._calls.read("getProducts", request={"pluNumbers": to_text_list(()), **filters})
        return tuple(map(to_read_product, rows(answer, "productList", "product")))


def to_empty_product(number: int, name: str, groups: tuple[int, ...]) -> ReadProduct:
    """A product without articles, which getProducts may not show."""
    raw = {"productNumber": number, "description": name, "groupNumbers": list(groups)}
    return ReadProduct(Product(number, name, (), groups), raw)
