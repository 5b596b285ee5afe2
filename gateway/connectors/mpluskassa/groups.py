"""The till's article groups: read, make, change, delete, fill."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.connectors.mpluskassa.area import Area
from gateway.connectors.mpluskassa.wire import need, rows
from gateway.connectors.mpluskassa.wire_products import to_group, to_group_request, to_new_group_request
from mapping.records import ArticleGroup


class Groups(Area):
    """Article groups hold products, not articles. Reads raise Transient or Permanent; writes Unanswered as well."""

    def article_groups(self, numbers: Iterable[int] = ()) -> tuple[ArticleGroup, ...]:
        """The groups with all below them: these, or (none named) the whole tree."""
        answer = self._calls.read("getArticleGroups", request={"groupNumbers": list(numbers)})
        return tuple(map(to_group, rows(answer, "articleGroupList", "articleGroups")))

    def create_article_group(self, group: ArticleGroup) -> int:
        """Make a group; returns its number."""
        answer = self._calls.write("newArticleGroup", request=to_new_group_request(group))
        number: int = need(answer, "groupNumber")
        return number

    def update_article_group(self, group: ArticleGroup) -> None:
        """Change a group's name, text, position or parent, as far as the record has them."""
        self._calls.write("updateArticleGroup", request=to_group_request(group))

    def delete_article_group(self, number: int) -> None:
        """Delete a group; its products stay."""
        self._calls.write("deleteArticleGroup", request={"groupNumber": number})

    def add_products_to_group(self, number: int, products: Iterable[int]) -> None:
        """Put products into a group; those in it already stay where they are."""
        request = {"groupNumber": number, "productNumbers": {"number": list(products)}}
        self._calls.write("addProductsToArticleGroup", request=request)

    def delete_products_from_group(self, number: int, products: Iterable[int]) -> None:
        """Take products out of a group."""
        request = {"groupNumber": number, "productNumbers": {"number": list(products)}}
        self._calls.write("deleteProductsFromArticleGroup", request=request)
