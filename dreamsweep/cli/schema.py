"""`dreamsweep schema`: the words of a sweep file, for editors."""

from dreamsweep.cli.terminal import is_unicode, say


def schema() -> None:
    """Print the JSON schema of a sweep file, so that editors complete and check it."""
    import json as encoder

    from dreamsweep.planning.json_schema import sweep_schema

    say(encoder.dumps(sweep_schema(), indent=1, ensure_ascii=not is_unicode()))
