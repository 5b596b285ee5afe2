"""The dashboard: plain server-rendered pages, a file per subject."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway.store.records import RecordKind
from gateway.web import setups
from gateway.web.access import for_visitors, from_form
from gateway.web.dashboard import (
    agreement,
    charts,
    events,
    home,
    login,
    mapping,
    preview,
    records,
    sales,
    settings,
    setup,
    todo,
    users,
)
from gateway.web.dashboard.rendering import show_problem
from gateway.web.sessions import Right

__all__ = ["routes", "show_problem"]

PRODUCT, CUSTOMER = RecordKind.PRODUCT, RecordKind.CUSTOMER
STATIC = Path(__file__).with_name("static")
_PAGES: Final[tuple[BaseRoute, ...]] = (
    Route("/login", login.show_login, methods=["GET"]),
    Route("/login", login.log_in, methods=["POST"]),
    Route("/logout", from_form(login.log_out, right=Right.READ), methods=["POST"]),
    Route("/language", login.choose_language, methods=["POST"]),
    Route("/login/oidc", login.start, methods=["GET"]),
    Route("/login/oidc/callback", login.finish, methods=["GET"]),
    Route("/users", for_visitors(users.list_users, right=Right.CONFIGURE), methods=["GET"]),
    Route("/users", from_form(users.invite_user), methods=["POST"]),
    Route("/users/{id}/{action}", from_form(users.change_user), methods=["POST"]),
    Route("/sessions/{digest}/end", from_form(users.end_session, right=Right.READ), methods=["POST"]),
    Route("/account", for_visitors(users.show_account), methods=["GET"]),
    Route("/account", from_form(users.change_password, right=Right.READ), methods=["POST"]),
    Route("/invitation/{secret}", users.show_invitation, methods=["GET"]),
    Route("/invitation/{secret}", users.accept_invitation, methods=["POST"]),
    Route("/setup", for_visitors(setup.list_setups, right=Right.CONFIGURE), methods=["GET"]),
    Route("/setup", from_form(setup.begin_setup), methods=["POST"]),
    Route("/setup/{name}", for_visitors(setup.show_setup, right=Right.CONFIGURE), methods=["GET"]),
    Route("/setup/{name}/{step}", for_visitors(setup.return_to_setup, right=Right.CONFIGURE), methods=["GET"]),
    Route("/setup/{name}/till", from_form(setup.submit_till), methods=["POST"]),
    Route("/setup/{name}/check", from_form(partial(setup.do_step, setups.check_up, "check")), methods=["POST"]),
    Route("/setup/{name}/answers", from_form(setup.submit_answers), methods=["POST"]),
    Route("/setup/{name}/live", from_form(partial(setup.do_step, setups.go_live, "live")), methods=["POST"]),
    Route("/setup/{name}/live/cancel", from_form(partial(setup.do_step, setups.cancel_live, "live")), methods=["POST"]),
    Route("/setup/{name}/load", from_form(setup.begin_load), methods=["POST"]),
    Route("/setup/{name}/load/{id}/pause", from_form(partial(setup.hold_load, setups.Hold.PAUSE)), methods=["POST"]),
    Route("/setup/{name}/load/{id}/resume", from_form(partial(setup.hold_load, setups.Hold.RESUME)), methods=["POST"]),
    Route("/setup/{name}/rename", from_form(setup.rename), methods=["POST"]),
    Route("/setup/{name}/remove", from_form(setup.remove), methods=["POST"]),
    Route("/mapping", for_visitors(partial(settings.choose_connection, "Mapping", "mapping")), methods=["GET"]),
    Route("/connections/{name}/mapping", for_visitors(mapping.show_mapping), methods=["GET"]),
    Route("/connections/{name}/mapping", from_form(mapping.submit_mapping), methods=["POST"]),
    Route("/settings", for_visitors(partial(settings.choose_connection, "Settings", "settings")), methods=["GET"]),
    Route("/connections/{name}/settings", for_visitors(settings.show_settings), methods=["GET"]),
    Route("/connections/{name}/settings", from_form(settings.submit_settings), methods=["POST"]),
    Route("/connections/{name}/settings/{version}", for_visitors(settings.show_version), methods=["GET"]),
    Route("/connections/{name}/settings/{version}", from_form(settings.restore_version), methods=["POST"]),
    Route("/preview", for_visitors(preview.show_form), methods=["GET"]),
    Route("/preview", from_form(preview.ask_preview, right=Right.WORK), methods=["POST"]),
    Route("/preview/{id}", for_visitors(preview.show_preview), methods=["GET"]),
    Route("/agreement", for_visitors(agreement.show_month), methods=["GET"]),
    Route("/agreement", from_form(agreement.ask_agreement, right=Right.WORK), methods=["POST"]),
    Route("/agreement.csv", for_visitors(agreement.download_days), methods=["GET"]),
    Route("/agreement.json", for_visitors(agreement.download_certificates), methods=["GET"]),
    Route("/agreement/sign-off", from_form(agreement.sign_off, right=Right.WORK), methods=["POST"]),
    Route("/agreement/sign-off/withdraw", from_form(agreement.withdraw_sign_off, right=Right.WORK), methods=["POST"]),
    Route("/agreement/days/{day}", for_visitors(agreement.show_day), methods=["GET"]),
    Route("/agreement/{id}", for_visitors(agreement.show_report), methods=["GET"]),
    Route("/overview", for_visitors(home.show_overview), methods=["GET"]),
    Route("/", for_visitors(home.show_dashboard), methods=["GET"]),
    Route("/connections/{name}/{switch}", from_form(home.switch_connection), methods=["POST"]),
    Route("/alerts", for_visitors(todo.show_alerts), methods=["GET"]),
    Route("/todo", for_visitors(todo.show_causes), methods=["GET"]),
    Route("/todo/confirm", for_visitors(todo.ask, right=Right.WORK), methods=["GET"]),
    Route("/todo", from_form(todo.do, right=Right.WORK), methods=["POST"]),
    Route("/todo/mark", from_form(todo.mark, right=Right.WORK), methods=["POST"]),
    Route("/todo/bulk/{id}", for_visitors(todo.show_bulk), methods=["GET"]),
    Route("/todo/bulk/{id}/undo", from_form(todo.undo, right=Right.WORK), methods=["POST"]),
    Route("/audit", for_visitors(events.show_actions, right=Right.CONFIGURE), methods=["GET"]),
    Route("/audit.csv", for_visitors(events.download_actions, right=Right.CONFIGURE), methods=["GET"]),
    Route("/backfills", for_visitors(setup.show_backfills), methods=["GET"]),
    Route("/backfills/{id}/{hold}", from_form(setup.hold_backfill), methods=["POST"]),
    Route("/reads", for_visitors(charts.show_reads), methods=["GET"]),
    Route("/products", for_visitors(partial(records.show_records, PRODUCT)), methods=["GET"]),
    Route("/customers", for_visitors(partial(records.show_records, CUSTOMER)), methods=["GET"]),
    Route("/products/{id}", for_visitors(partial(records.show_record, PRODUCT)), methods=["GET"]),
    Route("/customers/{id}", for_visitors(partial(records.show_record, CUSTOMER)), methods=["GET"]),
    Route("/products/{id}/look", from_form(partial(records.look_now, PRODUCT), right=Right.WORK), methods=["POST"]),
    Route("/customers/{id}/look", from_form(partial(records.look_now, CUSTOMER), right=Right.WORK), methods=["POST"]),
    Route("/customers/{id}/{action}", from_form(records.do_with_person), methods=["POST"]),
    Route("/sales", for_visitors(sales.show_sales), methods=["GET"]),
    Route("/sales.csv", for_visitors(sales.download_sales), methods=["GET"]),
    Route("/sales/{id}", for_visitors(sales.show_sale), methods=["GET"]),
    Route("/sales/{id}/{action}", from_form(sales.do_action, right=Right.WORK), methods=["POST"]),
    Route("/events", for_visitors(events.show_events), methods=["GET"]),
    Route("/events/retry", from_form(events.retry_events, right=Right.WORK), methods=["POST"]),
    Route("/events/{id}", for_visitors(events.show_event), methods=["GET"]),
    Route("/events/{id}/{action}", from_form(events.do_action, right=Right.WORK), methods=["POST"]),
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
)
"""Every page with the right it needs; the first that matches counts. `STATIC` has the style and script they use."""


def routes() -> list[BaseRoute]:
    return list(_PAGES)
