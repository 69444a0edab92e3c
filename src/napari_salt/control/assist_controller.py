"""The box tool: a box on the slice on screen becomes a mask that is taken or dropped. No Qt.

It has an engine of its own, started when the tool is first turned on, so that it answers while the
other one adapts. One request runs at a time; of those that wait only the newest is kept, so
scrolling costs no queue. Slices are looked at ahead of a box only while no job runs: a job is never
slowed down by what nobody has asked for yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from napari_salt.engine.requests import AssistMask, BoxRequest, EmbedRequest
from napari_salt.errors import InputError, NapariSaltError
from napari_salt.records import StepReport
from napari_salt.session.assist_readiness import assist_action
from napari_salt.session.readiness import Action
from napari_salt.views import AssistState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_salt.control.desk import Desk
    from napari_salt.control.paint_controller import PaintController
    from napari_salt.engine.requests import JobRunner, Report
    from napari_salt.records import Color
    from napari_salt.session.session import Session
    from napari_salt.session.stack import Stack

Box = tuple[float, float, float, float]

_stack_keys = count()


@dataclass(frozen=True, eq=False)
class _Asked:
    """A box and what was on screen and selected when it was drawn."""

    session: Session
    request: BoxRequest
    label_id: int


@dataclass(frozen=True, eq=False)
class _Proposal:
    """A mask on screen that nobody has taken yet."""

    index: int
    mask: NDArray[np.bool_]


class AssistController:
    """Turns boxes into requests, and masks into previews and paint."""

    def __init__(
        self,
        desk: Desk,
        paint: PaintController,
        make_runner: Callable[[], JobRunner] | None,
        changed: Callable[[], None],
        busy: Callable[[], bool],
    ) -> None:
        self._desk, self._paint, self._changed = desk, paint, changed
        self._busy = busy
        """Whether a job of the other engine runs."""
        self._make_runner = make_runner
        self._runner: JobRunner | None = None
        self._running = False
        self._stack_key = ""
        self._keyed: object = None
        self._embedded: EmbedRequest | None = None
        """The request that was last sent ahead; the same is not sent twice."""
        self._asked: _Asked | None = None
        """The box that an answer is wanted for."""
        self._waits = False
        """Whether that box still waits for the engine."""
        self._proposal: _Proposal | None = None
        self._doing = self._trouble = ""
        self._where: int | None = None
        self._stack: Stack | None = None
        self._color: Color | None = None

    def slots(self) -> list[tuple[Any, Callable[..., None]]]:
        """What the view and the viewer wish of the tool, and what answers it."""
        wishes, viewer = self._desk.view.wishes, self._desk.link.signals
        return [
            (wishes.assist_set, self.set_on),
            (wishes.assist_take, self.take),
            (wishes.assist_drop, self.drop),
            (viewer.box_drawn, self.box_drawn),
            (viewer.box_taken, self.take),
            (viewer.box_dropped, self.drop),
            (viewer.box_left, lambda: self.set_on(False)),
        ]

    # ---- wishes

    def set_on(self, on: bool) -> None:
        """Turn the tool on or off; where it cannot be on, say why."""
        if on == self._desk.assisting:
            return
        if not on:
            self._turn_off()
            return
        action = self._action()
        place, index, session = (
            self._desk.place,
            self._desk.link.current_slice(),
            self._desk.session,
        )
        if not action.enabled or place is None or index is None or session is None:
            self._desk.say(action.why_not, "warning")
            return
        self._desk.assisting, self._where, self._color = True, index, self._label_color()
        self._stack = session.stack
        self._desk.link.box.show(place, index, self._color)
        self._next()

    def box_drawn(self, box: Box) -> None:
        """A box was dragged on the slice on screen; what stood there is replaced."""
        self._forget_proposal(outline=False)
        session, index = self._desk.session, self._desk.link.current_slice()
        action = self._action()
        if session is None or index is None or self._desk.selected is None or not action.enabled:
            self._desk.link.box.clear()
            raise InputError(action.why_not)
        settings = session.settings
        request = BoxRequest(
            self._key(session), index, box, settings.backbone, settings.device, settings.intensity
        )
        self._asked, self._waits = _Asked(session, request, self._desk.selected), True
        self._next()

    def take(self) -> None:
        """Copy the preview into paint, as one step that can be undone."""
        proposal, label_id = self._proposal, self._desk.selected
        if proposal is None or label_id is None:
            return
        self._forget_proposal()
        self._paint.take_mask(proposal.index, proposal.mask, label_id)

    def drop(self) -> None:
        """Forget the preview; without one, turn the tool off."""
        if self._proposal is None and self._asked is None:
            self._turn_off()
        else:
            self._forget_proposal()

    def close(self) -> None:
        """End the tool and its engine."""
        if self._desk.assisting:
            self._turn_off()
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    # ---- following

    def session_left(self) -> None:
        """Another image is opened, or none: boxes of the one before mean nothing any more."""
        if self._desk.assisting:
            self._turn_off()

    def follow(self) -> None:
        """Compare what is on screen with what the preview was made for; called after every change."""
        if not self._desk.assisting:
            return
        desk = self._desk
        place, index, session = desk.place, desk.link.current_slice(), desk.session
        if place is None or session is None or not desk.link.box.possible(place):
            self._turn_off()
            return
        if index != self._where or session.stack is not self._stack:
            self._where, self._stack = index, session.stack
            self._forget_proposal()
            if index is not None:
                desk.link.box.move(place, index)
        if self._asked is not None and self._asked.label_id != desk.selected:
            self._forget_proposal()
        color = self._label_color()
        if color != self._color:
            self._color = color
            desk.link.box.set_color(color)
        self._next()

    def state(self) -> AssistState:
        """What the panel shows."""
        action = self._action()
        if not self._desk.assisting:
            return AssistState(False, action.enabled, action.why_not)
        return AssistState(
            True, True, "", self._sentence(action), can_take=self._proposal is not None
        )

    def _sentence(self, action: Action) -> str:
        if not action.enabled:
            return action.why_not
        if self._proposal is not None:
            finer = " (looking closer…)" if self._asked is not None and self._running else ""
            return f"Enter takes it, Esc drops it{finer}"
        if self._asked is not None:
            return "finding the object…"
        return self._doing or self._trouble or "drag a box around one object"

    # ---- the engine

    def _next(self) -> None:
        """Send what is wanted most: the box, else a look ahead at the slice on screen."""
        session = self._desk.session
        if self._running or not self._desk.assisting or session is None:
            return
        if self._asked is not None and self._waits:
            self._waits = False
            self._submit(self._asked.request, session)
            return
        if self._where is None or self._busy():
            return
        settings = session.settings
        ahead = EmbedRequest(
            self._key(session),
            self._where,
            settings.backbone,
            settings.device,
            settings.intensity,
        )
        if ahead != self._embedded:
            self._embedded = ahead
            self._doing, self._trouble = f"embedding slice {self._where}…", ""
            self._submit(ahead, session)

    def _submit(self, request: EmbedRequest | BoxRequest, session: Session) -> None:
        if self._runner is None and self._make_runner is not None:
            self._runner = self._make_runner()
        assert self._runner is not None
        self._running = True
        try:
            self._runner.submit(
                request,
                session.stack,
                on_report=lambda report: self._on_report(request, report),
                on_done=lambda result: self._ended(request),
                on_failed=lambda sentence: self._ended(request, sentence),
                on_stopped=lambda: self._ended(request, "Stopped; drag the box again."),
            )
        except NapariSaltError as error:
            self._ended(request, str(error))
        self._changed()

    def _on_report(self, request: EmbedRequest | BoxRequest, report: Report) -> None:
        if isinstance(report, AssistMask):
            if self._wants(request):
                self._propose(report)
        elif isinstance(report, StepReport) and report.phase == "loading" and self._doing:
            self._doing = "loading weights…"
        elif isinstance(report, StepReport) and self._doing:
            self._doing = f"embedding slice {request.index}…"
        self._changed()

    def _wants(self, request: EmbedRequest | BoxRequest) -> bool:
        """Whether an answer still fits what is on screen and selected."""
        asked, desk = self._asked, self._desk
        return (
            asked is not None
            and asked.request is request
            and desk.assisting
            and desk.session is asked.session
            and desk.selected == asked.label_id
            and desk.link.current_slice() == asked.request.index
        )

    def _propose(self, answer: AssistMask) -> None:
        place = self._desk.place
        if place is None:
            return
        if answer.mask.any():
            self._proposal = _Proposal(answer.index, answer.mask)
            self._desk.link.box.show_mask(place, answer.index, answer.mask, self._label_color())
        else:
            self._proposal = None
            self._desk.link.box.hide_mask()

    def _ended(self, request: EmbedRequest | BoxRequest, problem: str = "") -> None:
        self._running, self._doing = False, ""
        if isinstance(request, EmbedRequest):
            # Nobody has asked for it: no reason to interrupt; the box itself will say it louder.
            self._trouble = problem
        elif self._asked is not None and self._asked.request is request:
            self._asked = None
            if self._proposal is None:
                self._desk.link.box.clear()
                if not problem:
                    self._desk.say("nothing found in that box; drag another one", "warning")
            if problem:
                self._desk.fail(problem)
        self._next()
        self._changed()

    # ---- parts

    def _action(self) -> Action:
        desk = self._desk
        if self._make_runner is None:
            return Action(False, "There is no engine for boxes here; paint by brush.")
        flat = desk.place is None or bool(desk.link.box.possible(desk.place))
        return assist_action(desk.session, desk.selected, desk.link.current_slice(), flat=flat)

    def _turn_off(self) -> None:
        self._proposal = self._asked = None
        self._waits = False
        self._embedded = self._stack = None
        self._trouble = ""
        self._desk.assisting = False
        self._desk.link.box.hide()

    def _forget_proposal(self, *, outline: bool = True) -> None:
        self._proposal = self._asked = None
        self._waits = False
        if outline:
            self._desk.link.box.clear()
        else:
            self._desk.link.box.hide_mask()

    def _label_color(self) -> Color:
        rows = {row.label_id: row.color for row in self._desk.rows()}
        return rows.get(self._desk.selected or 0, (1.0, 1.0, 1.0, 1.0))

    def _key(self, session: Session) -> str:
        """A name for the stack that no other stack of this process has."""
        if self._keyed is not session.stack:
            self._keyed, self._stack_key = session.stack, str(next(_stack_keys))
        return self._stack_key
