"""The result of an answer: what a refused read and a write that names no number mean."""

from __future__ import annotations

import pytest

from gateway.errors import Permanent, Unanswered
from mapping.records import ArticleGroup, Product, Relation
from tests.gateway.connectors.mpluskassa.soap_server import Conversation, Script, envelope, says
from tests.gateway.connectors.mpluskassa.test_client import error_of


@pytest.mark.parametrize("word", ["FAILED", "NOT-ALLOWED", "BUSY-RIGHT-NOW"])
def test_a_relation_the_till_refuses_to_show_is_not_an_unknown_one(word: str) -> None:
    def refuse(conversation: Conversation) -> None:
        operation = "Get" if conversation.asked.operation == "getRelation" else "Find"
        name = "GetRelationResponse" if operation == "Get" else "FindRelationV2Response"
        result = f"{operation.upper()}-RELATION-RESULT-{word}"
        conversation.answer(envelope(f"<ns:{name}><ns:result>{result}</ns:result></ns:{name}>"))

    assert isinstance(error_of(refuse, lambda client: client.relation(7)), Permanent)
    assert isinstance(error_of(refuse, lambda client: client.find_relation_by_email("jan@example.nl")), Permanent)


@pytest.mark.parametrize("said", ["", "<ns:result>{}-RESULT-OK</ns:result>", "<ns:result>{}-RESULT-OK</ns:result>{}"])
def test_a_write_answered_without_result_or_number_is_a_question(said: str) -> None:
    def answer(body: str, word: str, number: str) -> Script:
        return says(f"<ns:{body}>{said.format(word, f'<ns:{number}>0</ns:{number}>')}</ns:{body}>")

    relation, product, tree = Relation(number=0, name="Jansen"), Product(None, "Fiets", ()), ArticleGroup(0, "Fietsen")
    for script, act in (
        (answer("CreateRelationResponse", "CREATE-RELATION", "relationNumber"), lambda c: c.create_relation(relation)),
        (answer("CreateProductResponse", "CREATE-PRODUCT", "productNumber"), lambda c: c.create_product(product)),
        (
            answer("NewArticleGroupResponse", "NEW-ARTICLE-GROUP", "groupNumber"),
            lambda c: c.create_article_group(tree),
        ),
    ):
        assert type(error_of(script, act)) is Unanswered
