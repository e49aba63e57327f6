"""JSON schemas as Prefect's run form shows them well: stable tabs, folded settings, and mistakes marked at their fields.

The form has Prefect's server validate what was filled in. Of a union the server says only that no option fits, and shows the whole value
with it. So the options of unions are left without constraints here, and those stand beside them as `if … then …`, whose faults the
server reports field by field. They stand in an `allOf`, because keys are sorted: the server fails where a fault of a field comes after
one of the union around it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dreamsweep.spec.base import COLOUR, NAME

Schema = dict[str, Any]
CONSTRAINTS = ("pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems")
AS_USUAL: Schema = {"title": "As usual", "type": "object", "properties": {}, "additionalProperties": False}
FORM_NAME = rf"^[a-z0-9][a-z0-9._-]{{0,31}}(\{{date\}}(-\{{time\}})?)?$|{NAME}"
"""Pattern of a name in the form, which the date and the time of day may be part of."""
WANTED = {
    COLOUR: "# and six hexadecimal digits, such as #ff8800",
    NAME: "small letters, digits, dots and dashes, such as garden-2",
    FORM_NAME: "small letters, digits, dots and dashes, such as garden-2 or garden-{date}",
}
"""Patterns in words, which people are shown instead."""


def form_schema(
    *required: str, none: str = "None", folded: Mapping[str, str] | None = None, also: Iterable[str] = (), hidden: Iterable[str] = ()
) -> Callable[[Schema], None]:
    """Returns what adapts a model's schema to the form.

    Unions become `anyOf`, as a tab that is chosen of `oneOf` springs back. `none` names the tab of what is left out. A model of settings
    that is `folded` lies behind a second tab; the first one holds a text alone. Words of `also`, and those that are `hidden`, are taken as
    parameters, and not shown.
    """

    def adapt(schema: Schema) -> None:
        properties = schema["properties"]
        for field in properties.values():
            for union in (field, field.get("items", {})):
                if "oneOf" in union:
                    union["anyOf"] = union.pop("oneOf")
                    union.pop("discriminator", None)
                for option in union.get("anyOf", ()):
                    if option.get("type") == "null":
                        option["title"] = none
        for name, usual in (folded or {}).items():
            field = properties[name]
            field |= {"anyOf": [{**AS_USUAL, "description": usual}, {"$ref": field.pop("$ref")}], "default": {}}
        unseen = {**{name: {} for name in also}, **{name: properties.pop(name) for name in hidden}}
        if unseen:
            schema["patternProperties"] = {f"^{name}$": field for name, field in unseen.items()}
        schema["required"] = list(required)

    return adapt


def mark_at_fields(schema: Schema, resolve: Callable[[Schema], Schema]) -> None:
    """Moves the constraints of all unions of a model's schema, however deep, to conditions beside them."""
    for field in schema["properties"].values():
        if "anyOf" in field and (checks := _taken_out(field, resolve)):
            field["allOf"] = [checks]


def _taken_out(schema: Schema, resolve: Callable[[Schema], Schema]) -> Schema:
    """Takes the constraints out of a schema, and returns a schema of them alone."""
    schema = resolve(schema)
    checks = _in_words({name: schema.pop(name) for name in CONSTRAINTS if name in schema})
    if "anyOf" in schema:
        checks |= _by_option([(_sign_of(resolve(option)), _taken_out(option, resolve)) for option in schema["anyOf"]])
    inner = {name: _taken_out(field, resolve) for name, field in schema.get("properties", {}).items()}
    if inner := {name: field for name, field in inner.items() if field}:
        checks["properties"] = inner
    if items := _taken_out(schema["items"], resolve) if "items" in schema else {}:
        checks["items"] = items
    if needed := schema.get("required"):
        checks["required"] = needed  # an emptied field is left out; the form needs the word in the option, too
    return checks


def _in_words(checks: Schema) -> Schema:
    """Returns the same constraints; one by a pattern says in words what it wants: `'small letters, …' was expected`."""
    wanted = WANTED.get(checks.get("pattern", ""))
    return {"if": checks, "else": {"const": wanted}} if wanted else checks


def _by_option(options: list[tuple[Schema, Schema]]) -> Schema:
    """Returns the checks of the first option whose sign a value has."""
    if not options:
        return {}
    (sign, checks), rest = options[0], _by_option(options[1:])
    if not checks and not rest:
        return {}
    return {"if": sign, "then": checks, "else": rest}


def _sign_of(option: Schema) -> Schema:
    """Returns what shows that a value is meant for an option: its type; of objects also a constant word, or any word that it needs."""
    sign: Schema = {"type": option["type"]}
    constants = {name: {"const": field["const"]} for name, field in option.get("properties", {}).items() if "const" in field}
    if constants:
        sign |= {"properties": constants, "required": list(constants)}
    elif needed := option.get("required"):
        sign["anyOf"] = [{"required": [name]} for name in needed]
    return sign
