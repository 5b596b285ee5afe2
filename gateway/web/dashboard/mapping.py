"""The mapping of a connection: forms with the lists of both systems, what occurs and what catches it, and a preview."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.queries import sales
from gateway.store import audit, connections, event_history, requests
from gateway.store.events import SETTLED, Event, Flow
from gateway.web import actions, api, inputs, services
from gateway.web.api.connections import find_in_force
from gateway.web.dashboard import mapping_form, settings
from gateway.web.dashboard.rendering import find_settings, render
from gateway.web.sessions import Visitor
from mapping import choices, settings_document, settings_guide
from mapping.choices import BY_CATEGORY, BY_VAT_CODE
from mapping.messages import message
from mapping.settings_document import DocumentError, SettingsDocument

_MEANINGS: Final = {path: each.meaning for path, each in find_settings(SettingsDocument()).items()}


@dataclass(frozen=True, slots=True)
class MappingState:
    """The document in force and its choices, the lists as last read, what occurs in sales, and the last reading.

    `made_from` is the document a form was made from: an earlier one, when somebody saved meanwhile.
    """

    version: int
    text: str
    in_force: mapping_form.Choices
    made_from: str
    known: Mapping[choices.ListName, connections.KnownList]
    values: sales.SalesValues
    example: sales.SaleExample | None
    asked: Event | None

    @property
    def lists(self) -> dict[choices.ListName, tuple[choices.ListOption, ...]]:
        return {name: choices.Options(each.options) for name, each in self.known.items()}

    @property
    def reading(self) -> bool:
        return self.asked is not None and self.asked.state not in SETTLED

    @property
    def unread(self) -> Mapping[str, str]:
        """The lists that could not be read last time, with the reason."""
        found = api.events.parse(self.asked.result) if self.asked and not self.reading else None
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Editing:
    """What the form holds: `base` is the version it was made from, `faults` what is wrong, by field.

    `whole` is the setting of which every value is shown, `unfinished` what was typed and chooses nothing yet.
    """

    chosen: mapping_form.Choices
    base: int
    number: str = ""
    notice: str = ""
    is_typed: bool = False
    whole: str = ""
    unfinished: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)


async def show_mapping(request: Request, _visitor: Visitor) -> Response:
    state = await _read(request)
    saved = request.query_params.get("saved") == str(state.version)
    notice, whole = "saved" if saved else "", request.query_params.get("whole", "")
    return _show(request, state, Editing(state.in_force, state.version, notice=notice, whole=whole))


async def submit_mapping(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Save, preview, take the proposals, or read the lists anew. What was chosen is shown again unless it was saved."""
    number = (inputs.find_text(form, "number") or "").strip()
    base = inputs.find_number(form, "base") or 0
    state = await _read(request, number, base)
    made_from = mapping_form.read_document(settings_document.recall(state.made_from))
    chosen = mapping_form.merge(mapping_form.read_form(form, made_from, state.lists), made_from, state.in_force)
    unfinished, whole = mapping_form.find_unfinished(form), form.get("whole", "")
    editing = Editing(chosen, base, number=number, is_typed=True, whole=whole, unfinished=unfinished)
    match form.get("action"):
        case "save":
            return await _save(request, visitor, state, editing)
        case "try":
            return await _try(request, visitor, state, editing)
        case "propose":
            blocks = mapping_form.to_blocks(chosen, state.lists, state.values, state.in_force)
            proposed = mapping_form.propose(chosen, blocks)
            return _show(request, state, replace(editing, notice="proposed", chosen=proposed))
        case "refresh":  # what was chosen meanwhile stays in the form
            shared, name = services.of(request), request.path_params["name"]
            change = requests.refresh_lists(connection=name, actor="admin")
            target = message("connection {name}", name=name)
            await shared.ask(partial(audit.ask, change=change, actor=visitor.actor, action="lists", target=target))
            if chosen == state.in_force and not unfinished:
                return RedirectResponse(settings.to_address(name, "mapping"), 303)
            return _show(request, await _read(request, number), replace(editing, notice="refreshing"))
        case _:
            return _show(request, state, replace(editing, notice="previewed"))


async def _amend(request: Request, state: MappingState, editing: Editing) -> tuple[str | None, dict[str, str]]:
    """The document with what was chosen (None: nothing differs), or what is wrong by field."""
    before = state.in_force
    if faults := mapping_form.find_faults(editing.chosen, before, state.lists):
        return None, faults
    answers = mapping_form.to_answers(state.text, editing.chosen, before)
    if not answers:
        return None, {}
    try:
        return await services.of(request).run(lambda: settings_guide.amend(state.text, answers)), {}
    except DocumentError as error:
        return None, mapping_form.place(error.faults, editing.chosen)


async def _save(request: Request, visitor: Visitor, state: MappingState, editing: Editing) -> Response:
    if editing.base != state.version:
        # Saving once more means it: by then the page says so.
        return _show(request, state, replace(editing, notice="outdated", base=state.version), status=409)
    text, faults = await _amend(request, state, editing)
    if faults:
        return _show(request, state, replace(editing, notice="refused", faults=faults), status=422)
    if text is None:
        return _show(request, state, replace(editing, notice="unchanged"))
    name = request.path_params["name"]
    try:
        saved = await api.connections.save_settings(
            services.of(request), name, text, actor=visitor.actor, reason="chosen in the mapping", after=editing.base
        )
    except DocumentError as error:
        placed = mapping_form.place(error.faults, editing.chosen)
        return _show(request, state, replace(editing, notice="refused", faults=placed), status=422)
    except connections.Outdated:
        before, state = state.in_force, await _read(request, editing.number)
        chosen = mapping_form.merge(editing.chosen, before, state.in_force)
        return _show(request, state, replace(editing, notice="outdated", base=state.version, chosen=chosen), status=409)
    return RedirectResponse(f"{settings.to_address(name, 'mapping')}?saved={saved.version}", 303)


async def _try(request: Request, visitor: Visitor, state: MappingState, editing: Editing) -> Response:
    """Have a worker show the whole booking of a sale with what was chosen; nothing is written."""
    number = editing.number or (state.example.number if state.example else None)
    text, faults = await _amend(request, state, editing)
    if faults or number is None:
        return _show(request, state, replace(editing, notice="refused", faults=faults), status=422)
    name = request.path_params["name"]
    wanted = actions.PreviewRequest(Flow.ORDERS, number, name, visitor.actor, settings=text)
    return RedirectResponse(f"/preview/{await actions.ask_preview(services.of(request), wanted)}", 303)


def _show(request: Request, state: MappingState, editing: Editing, *, status: int = 200) -> Response:
    lists = state.lists
    blocks = mapping_form.to_blocks(editing.chosen, lists, state.values, state.in_force, editing.whole)
    singles = [mapping_form.Offer.of(each, lists) for each in choices.SINGLES]
    return render(
        request,
        "mapping.html",
        status=status,
        name=request.path_params["name"],
        state=state,
        editing=editing,
        blocks=blocks,
        singles=singles,
        suggestions={each.list_id: each for each in (*singles, *(block.offer for block in blocks)) if each.list_id},
        first_groups=choices.first_groups(lists, editing.chosen.controls[BY_VAT_CODE]),
        preview=mapping_form.preview(state.example, blocks) if state.example else [],
        label=mapping_form.to_label,
        find=choices.find,
        proposals=sum(each.proposal is not None for block in blocks for each in block.values),
        meanings=_MEANINGS,
        by_category=BY_CATEGORY,
        read_at=min((each.read_at for each in state.known.values()), default=None),
    )


async def _read(request: Request, number: str = "", base: int | None = None) -> MappingState:
    """The state, with the document of version `base` as what a form was made from. Raises `Refusal` 404."""
    name = request.path_params["name"]

    def look(session: Session) -> MappingState:
        version, text = find_in_force(session, name)
        earlier = connections.find_settings(session, name, base) if base and base != version else None
        return MappingState(
            version=version,
            text=text,
            in_force=mapping_form.read_document(settings_document.recall(text)),
            made_from=earlier.document if earlier else settings_guide.example() if base == 0 else text,
            known=connections.read_lists(session, name),
            values=sales.find_values(session, name),
            example=sales.find_example(session, name, number),
            asked=event_history.newest_about(session, requests.refresh_lists(connection=name).subject),
        )

    return await services.of(request).read(look)
