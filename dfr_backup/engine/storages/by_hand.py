"""How a person reaches a storage from a shell: where no Odoo works any more, and
perhaps no addon."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote


@dataclass(frozen=True)
class ByHand:
    """What is typed into a shell.

    ``fetch`` brings the object "$1" into the folder ``files``; "" when nobody knows
    how.
    ``is_addressed``: the command line of this addon takes ``location()`` as an address.
    The variables that it and ``fetch`` need are ``given`` with their values, or asked
    for: openly, or as ``secrets``.
    """

    fetch: str = ""
    is_addressed: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    asked: Sequence[str] = ()
    secrets: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Return the lines of shell that set this up. No secret is in them: the shell
        asks, and keeps it out of its history."""
        given = [f"export {name}={quote(value)}" for name, value in self.given.items()]
        asked = [_ask(name, "-rp") for name in self.asked]
        secrets = [_ask(name, "-rsp") for name in self.secrets]
        fetch = [f"fetch() {{ {self.fetch}; }}"] if self.fetch else []
        return [*given, *asked, *secrets, *fetch]


def _ask(name: str, options: str) -> str:
    return f"read {options} '{name}: ' {name} && export {name}"
