"""The memory of a predictor: what its cases will take, whether there is room for one more, and what lies where."""

import threading
from dataclasses import replace
from pathlib import Path

from .. import runtime
from ..errors import MedMambaError
from . import budget
from .arrays.export import export_bytes
from .arrays.preprocess import Place
from .arrays.window import WindowMemory
from .budget import Estimate, Plan
from .files.cases import Case
from .files.headers import Header, probe
from .recipe import LoadedModel
from .runner import Runner
from .sizes import resident_memory
from .stages import InHand, Prepared


class Memory:
    """Keeps a predictor within its ceilings.

    Parameters
    ----------
    runner: of the model; asked for its sizes at once where there is a ceiling, else when it matters.
    step_size: of the window, in patches.
    max_ram, max_vram: bytes; None: what is free.
    earlier: of the predictor of a cascade's earlier stage.

    The process as it is now is what every case adds to: to be made when the model is loaded.
    """

    def __init__(
        self,
        model: LoadedModel,
        runner: Runner,
        step_size: float,
        max_ram: int | None,
        max_vram: int | None,
        earlier: "Memory | None" = None,
    ) -> None:
        self.model, self.runner, self.step_size, self.earlier = model, runner, step_size, earlier
        self.max_ram, self.max_vram = max_ram, max_vram
        self.in_hand = InHand()
        if max_ram is not None:
            runner.activation_bytes()  # what it imports is part of the process from now on
        self._base = resident_memory()
        self._known: budget.Known | None = None
        self._asking = threading.Lock()
        if max_ram is not None:
            self._network_sizes()
        self._asked: dict[Case, Estimate | None] = {}

    def estimate(self, header: Header, probabilities: bool = False) -> Estimate:
        """What a case of this header takes; without a ceiling and with plenty to spare, more than that."""
        if self.max_ram is None and self.runner.device.type == "cpu":
            rough = self._estimate(header, budget.Rough(self.model), probabilities)
            if budget.is_easy(rough):
                return rough
        return self._estimate(header, self._network_sizes(), probabilities)

    def _network_sizes(self) -> budget.Known:
        """Of the runner, which is asked once: it builds a network for the answer."""
        with self._asking:
            if self._known is None:
                runner = self.runner
                self._known = budget.Known(runner.folds, runner.activation_bytes(), runner.weight_bytes())
            return self._known

    def _estimate(self, header: Header, network: budget.Sizes, probabilities: bool) -> Estimate:
        own = budget.estimate(header, self.model.recipe, network, self.step_size, self._base, probabilities)
        own = replace(own, on_gpu=self.runner.device.type == "cuda")
        return own if self.earlier is None else budget.in_two_stages(own, self.earlier.estimate(header))

    def plan(self, header: Header, name: str, probabilities: bool = False) -> tuple[Estimate, Plan]:
        """The estimate and the fastest way that stays within the ceiling. Raises SetupError when there is none."""
        expected = self.estimate(header, probabilities)
        return expected, budget.require(expected, self.max_ram, name)

    def admit(self, case: Case, probabilities: bool) -> Prepared:
        """A case about to be read, counted from now on. Raises SetupError where it takes too much."""
        self._asked.pop(case, None)  # asked about again only if it is taken once more
        admitted = Prepared(case.name, *self.plan(probe(case, self.model.recipe), case.name, probabilities))
        self.in_hand.add(admitted)
        return admitted

    def has_room_for(self, case: Case) -> bool:
        """Whether this case can be prepared while those in hand are not done."""
        if case not in self._asked:
            try:
                self._asked[case] = self.estimate(probe(case, self.model.recipe))
            except MedMambaError:
                self._asked[case] = None  # preparing it will say what is wrong
        expected = self._asked[case]
        return expected is None or self.in_hand.leave_room_for(expected, self.max_ram)

    def leave_room_for_probabilities(self, prepared: Prepared, place: Place) -> None:
        """Plan once more, with the larger export. Raises SetupError where that is too much."""
        exporting = export_bytes(place, self.model.recipe, probabilities=True)
        prepared.estimate = replace(prepared.estimate, export=exporting)
        plan = budget.require(prepared.estimate, self.max_ram, prepared.name)
        prepared.plan = replace(plan, data_on_disk=prepared.plan.data_on_disk)  # that is settled

    def of_window(self, prepared: Prepared, scratch: Path) -> WindowMemory:
        """What lies where while the case is in the network."""
        plan, device = prepared.plan, self.runner.device
        on_device = data_on_device = False
        if device.type == "cuda":
            free = runtime.free_memory(device) or 0
            limit = free if self.max_vram is None else min(free, self.max_vram)
            on_device, data_on_device = budget.fits_gpu(prepared.estimate, limit)
        return WindowMemory(
            on_device,
            data_on_device,
            scratch=scratch if plan.sums_on_disk else None,
            keep_uniform=plan.keep_uniform,
            rows=plan.rows,
        )
