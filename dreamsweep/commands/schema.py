"""`dreamsweep schema`: the words of a sweep file, for editors."""

import typer


def schema() -> None:
    """Print the JSON schema of a sweep file, so that editors complete and check it."""
    import json as encoder

    from dreamsweep.schema import sweep_schema

    typer.echo(encoder.dumps(sweep_schema(), indent=1, ensure_ascii=False))
