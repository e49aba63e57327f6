"""`dreamsweep doctor`: whether all is there that is needed."""

import typer
from rich.table import Table

from dreamsweep.cli.console import Console
from dreamsweep.cli.options import StoreUri


def doctor(store: StoreUri = "runs") -> None:
    """Look at what is installed, the devices, the weights and the store. Exit code 1 if something that is needed is broken."""
    from dreamsweep.cli.installation import findings

    table = Table("", "", "", show_header=False, box=None)
    table.columns[2].overflow = "fold"
    broken = False
    for finding in findings(store):
        mark = "[green]ok[/]" if finding.ok else "[red]broken[/]" if finding.needed else "[dim]no[/]"
        table.add_row(mark, finding.what, _literal(finding.detail))
        broken |= finding.needed and not finding.ok
    Console().print(table)
    if broken:
        raise typer.Exit(1)


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
