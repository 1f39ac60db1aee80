"""What the page calls a case, and which texts of others it may repeat."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Names:
    """Real case names, or what stands for them on a page that must not carry any.

    given: real name -> shown name; None shows real names. A case that it does not have is shown as "unnamed 1", ...
    """

    given: Mapping[str, str] | None = None
    _unnamed: dict[str, str] = field(default_factory=dict)

    @property
    def hides(self) -> bool:
        """Whether real names, paths and texts that may hold them stay off the page."""
        return self.given is not None

    def shown(self, case: str) -> str:
        """The name on the page; the same at every call."""
        if self.given is None:
            return case
        if case in self.given:
            return self.given[case]
        return self._unnamed.setdefault(case, f"unnamed {len(self._unnamed) + 1}")

    def told(self, text: str, instead: str) -> str:
        """`text`, which may name files; `instead` where names are hidden."""
        return instead if self.hides else text
