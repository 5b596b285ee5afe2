"""Every probe finds what the simulators were told to be, in every way it knows, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import pytest

from gateway.connectors.http import Limits
from gateway.connectors.quickbooks.auth import OAuth
from sandbox.mpluskassa.app import create_app as create_till
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.simulation import Simulation as TillSimulation
from sandbox.quickbooks.app import create_app as create_books
from sandbox.quickbooks.demo import new_company
from sandbox.quickbooks.simulation import Simulation as BooksSimulation
from tests.contract.books import MARK, Books
from tests.contract.catalogue import PROBES
from tests.contract.credentials import Purse
from tests.contract.listener import Listener
from tests.contract.probe import Finding, Probe, run
from tests.contract.till import Till
from tests.servers import Served

REALMS = (str(number) for number in count(9341455000000100))
BY_NAME = {probe.name: probe for probe in PROBES}
Turn = Callable[[Any], object]


def switch(**switches: Any) -> Turn:
    """Set switches of a simulated system."""

    def turn(simulation: Any) -> None:
        owner = simulation.switches if isinstance(simulation, BooksSimulation) else simulation.till.switches
        for name, value in switches.items():
            assert hasattr(owner, name), name
            setattr(owner, name, value)

    return turn


def number_by_itself(simulation: BooksSimulation) -> None:
    simulation.set_preference(next(iter(simulation.companies)), "SalesFormsPrefs", "CustomTxnNumbers", False)


def stop_warning(simulation: BooksSimulation) -> None:
    next(iter(simulation.companies.values())).warn_duplicates = False


def write_legacy(simulation: BooksSimulation) -> None:
    simulation.switches.deliveries.format = "legacy"


def let_anybody_in(simulation: TillSimulation) -> None:
    simulation.till.switches.login_refused = "never"


def live_in_holland(simulation: TillSimulation) -> None:
    simulation.add_relation(name="Jansen", country="Holland (Noord)")


def misstate_a_total(simulation: TillSimulation) -> None:
    receipt = simulation.sell(lines=[ItemSold(1001)])
    stored = simulation.till["receipts"].get(receipt["receiptId"])
    stored["vatGroupList"]["vatGroup"][0]["exclAmount"] += 50
    stored["vatGroupList"]["vatGroup"][0]["vatAmount"] -= 50


def bear_one_call(simulation: TillSimulation) -> None:
    """More than one call at once is refused; a call lasts, so that calls meet on a busy machine too."""
    simulation.till.switches.calls_at_once = 1
    simulation.misbehaviour.latency_seconds = 0.1


def as_it_is(_simulation: Any) -> None:
    """Nothing is changed: the way the simulator behaves by itself."""


@dataclass(frozen=True)
class Case:
    """A probe, the way to be found, and what makes the simulator behave so."""

    probe: str
    way: str
    turn: Turn = field(default=as_it_is)

    def __str__(self) -> str:
        return f"{self.probe}: {self.way}"


CASES = (
    Case("vat-rounding", "line"),
    Case("vat-rounding", "code", switch(tax_rounding="code")),
    Case("stated-vat", "honoured"),
    Case("stated-vat", "ignored", switch(tax_override="ignore")),
    Case("stated-vat", "refused", switch(tax_override="refuse")),
    Case("document-number", "kept"),
    Case("document-number", "own", number_by_itself),
    Case("duplicate-number", "same kind"),
    Case("duplicate-number", "every kind", switch(duplicate_scope="sales")),
    Case("duplicate-number", "accepted", stop_warning),
    Case("request-id", "first answer"),
    Case("request-id", "done again", switch(request_ids="forgotten")),
    Case("void", "voided"),
    Case("void", "not voided", switch(void_forms="unheard")),
    Case("void", "refused", switch(void_forms="operation")),
    Case("stock-start", "6270"),
    Case("stock-start", "another code", switch(stock_start="6000")),
    Case("stock-start", "accepted", switch(stock_start="accepted")),
    Case("vat-number", "kept"),
    Case("vat-number", "lost", switch(resale_numbers="dropped")),
    Case("email-case", "exact"),
    Case("email-case", "case aside", switch(case_sensitive_queries=False)),
    Case("emoji", "kept"),
    Case("emoji", "replaced", switch(rare_characters="replaced")),
    Case("emoji", "refused", switch(rare_characters="refused")),
    Case("backslash", "found"),
    Case("backslash", "not found", switch(backslashes="single")),
    Case("quantity", "named"),
    Case("quantity", "silent", switch(stock_moves_items=False)),
    Case("webhook-format", "cloud events"),
    Case("webhook-format", "legacy", write_legacy),
    Case("void-verb", "void"),
    Case("void-verb", "another verb", switch(void_events="updated")),
    Case("quantity-webhook", "silent"),
    Case("quantity-webhook", "told", switch(stock_webhooks=True)),
    Case("percentages", "per cent"),
    Case("percentages", "hundredths", switch(percentage_scale=100)),
    Case("decimal-places", "always told"),
    Case("decimal-places", "left out, means none", switch(omit_zero_decimal_places=True)),
    Case("decimal-places", "left out, means two", switch(omitted_decimal_places=2)),
    Case("time-zone", "minutes"),
    Case("time-zone", "zero", switch(timezone_told="zero")),
    Case("time-zone", "something else", switch(timezone_told="hours")),
    Case("pages", "oldest, mixed"),
    Case("pages", "oldest, in order", switch(unordered_pages=False)),
    Case("pages", "newest", switch(pages_hold="newest")),
    Case("line-totals", "all fit"),
    Case("line-totals", "all fit", switch(parent_includes_sublines=True)),
    Case("line-totals", "some do not", misstate_a_total),
    Case("final-invoices", "told"),
    Case("final-invoices", "not told", switch(tells_finalized=False)),
    Case("countries", "all known"),
    Case("countries", "others too", live_in_holland),
    Case("missing-record", "empty"),
    Case("missing-record", "left out", switch(omit_missing_payload=True)),
    Case("login", "recognised"),
    Case("login", "recognised", switch(login_refused="status")),
    Case("login", "not recognised", switch(login_refused="vague")),
    Case("login", "let in", let_anybody_in),
    Case("calls-at-once", "several"),
    Case("calls-at-once", "few", bear_one_call),
    Case("left-out-fields", "cleared"),
    Case("left-out-fields", "kept", switch(omitted_fields="keep")),
    Case("sub-lists", "replaced"),
    Case("sub-lists", "merged", switch(sublists="merge")),
    Case("sub-lists", "lost", switch(sublists="lose")),
    Case("long-texts", "kept"),
    Case("long-texts", "cut", switch(long_texts="cut")),
    Case("long-texts", "refused", switch(long_texts="refused")),
    Case("search-case", "case aside"),
    Case("search-case", "exact", switch(exact_match_ignores_case=False)),
)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Any, Any, Listener, str, str, str]]:
    """Both simulators and the listener, served once; each test puts simulations of its own behind them."""
    listener = Listener(patience=10)
    books, till = create_books(BooksSimulation()), create_till(TillSimulation())
    running = [Served(books), Served(till), Served(listener.app)]
    yield books, till, listener, running[0].url, running[1].url, running[2].url
    for each in reversed(running):
        each.stop()


@dataclass
class Grounds:
    """Both simulated systems as the probes see them, and their simulations."""

    contexts: dict[str, Any]
    grounds: dict[str, Any]

    def ask(self, probe: Probe) -> Finding:
        (finding,) = run([probe], self.grounds)
        return finding


def furnish_till(simulation: TillSimulation) -> None:
    """Articles, some sales (weighed goods, preparations, a discount), an invoice and a relation."""
    for number, price, stocked in ((1001, 995, True), (1002, 350, False), (1003, 50, False)):
        article = {"articleNumber": number, "description": f"Article {number}", "priceIncl": price, "vatCode": 2}
        more = {"turnoverGroup": 1, "stockArticle": stocked}
        simulation.add_product({"description": f"Article {number}", "articleList": {"article": [{**article, **more}]}})
    jansen = simulation.add_relation(name="Jansen BV", country="Nederland", email="info@jansen.example")
    simulation.sell(lines=[ItemSold(1001), ItemSold(1002, Decimal(2))])
    simulation.sell(lines=[ItemSold(1001, Decimal("0.25"))])
    simulation.sell(lines=[ItemSold(1001, preparations=(ItemSold(1003),))])
    simulation.sell(lines=[ItemSold(1002, Decimal(3), discount_percent=Decimal(10))])
    simulation.invoice(lines=[ItemSold(1001)], relation=jansen["relationNumber"])


@pytest.fixture
def both(served: tuple[Any, Any, Listener, str, str, str]) -> Iterator[Grounds]:
    """A company and an installation of their own for one test."""
    books_app, till_app, listener, books_url, till_url, listener_url = served
    books_app.state.simulation = books_simulation = BooksSimulation()
    books_simulation.switches.limits.requests_per_second = 0
    till_app.state.simulation = till_simulation = TillSimulation(ident="probe", secret="probe-secret")
    realm = next(REALMS)
    new_company(books_simulation, realm, "Sandbox Company_NL_1")
    books_simulation.register_app("app", "app-secret", "*")
    books_simulation.switches.deliveries.url = listener_url
    books_simulation.switches.deliveries.group_seconds = 0.05
    listener.bodies.clear()
    furnish_till(till_simulation)
    with httpx.Client() as http:
        purse = Purse(to_oauth(http, books_url), str(books_simulation.connect(realm, "app")["refresh_token"]))
        books = Books(http, base_url=books_url, realm_id=realm, tokens=purse, may_write=True, listener=listener)
        till = Till(till_url, "probe", "probe-secret", may_write=True, limits=Limits(connect=5, read=10, total=20))
        yield Grounds(
            {"quickbooks": books_simulation, "mpluskassa": till_simulation}, {"quickbooks": books, "mpluskassa": till}
        )
    books_simulation.switches.deliveries.time_scale = 0.0  # what is still under way holds up nobody else's


def to_oauth(http: httpx.Client, url: str) -> OAuth:
    """The simulated Intuit's OAuth."""
    return OAuth(
        http,
        client_id="app",
        client_secret="app-secret",
        authorize_url=f"{url}/connect/oauth2",
        token_url=f"{url}/oauth2/v1/tokens/bearer",
        revoke_url=f"{url}/v2/oauth2/tokens/revoke",
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_probe_finds_the_way_the_other_side_behaves(both: Grounds, case: Case) -> None:
    probe = BY_NAME[case.probe]
    case.turn(both.contexts[probe.system])
    finding = both.ask(probe)
    assert (finding.way and finding.way.name, finding.left) == (case.way, ()), finding.evidence


def test_every_way_of_every_probe_is_shown_by_a_simulator() -> None:
    shown = {(case.probe, case.way) for case in CASES}
    assert {(probe.name, way.name) for probe in PROBES for way in probe.ways} - shown == set()


def test_what_the_probes_made_is_marked_and_gone_or_inactive_afterwards(both: Grounds) -> None:
    realm = both.grounds["quickbooks"].realm_id
    before = {entity: len(both.contexts["quickbooks"].rows(realm, entity)) for entity in ("SalesReceipt", "Invoice")}
    for probe in PROBES:
        assert both.ask(probe).left == ()
    books, till = both.contexts["quickbooks"], both.contexts["mpluskassa"]
    assert {entity: len(books.rows(realm, entity)) for entity in before} == before
    made = [*books.rows(realm, "Item"), *books.rows(realm, "Customer")]
    assert made
    assert all((row.get("Name") or row["DisplayName"]).startswith(MARK) and not row["Active"] for row in made)
    articles = [row for row in till.till["articles"] if row["description"].startswith(MARK)]
    assert articles
    assert not any(row["active"] for row in articles)
    assert not any(row["active"] for row in till.till["relations"] if row["name"].startswith(MARK))
