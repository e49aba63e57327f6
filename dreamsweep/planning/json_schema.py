"""The JSON schema of a sweep file, as editors read it: what the spec says, and the short spellings that its validators take."""

from typing import Any

from dreamsweep.spec import ENGINES, Sweep

WORDS_FOR_TEXT = ("Prompt", "Phrase", "OptimizerGrid", "ImageFile", "WeightedPerceptor", "FurtherJudge", "Schedule", "ConceptFolder")
"""Mappings that a sweep file may abbreviate to a plain text."""
LISTS_OF_TEXTS = ("also", "negatives", "to")
"""Lists of a prompt that a sweep file may abbreviate to a plain text."""


def sweep_schema() -> dict[str, Any]:
    """Returns a JSON schema (draft 2020-12)."""
    schema = Sweep.model_json_schema()
    definitions = schema["$defs"]
    for model in ("Prompt", "PromptTemplate"):
        properties = definitions[model]["properties"]
        for name in properties.keys() & set(LISTS_OF_TEXTS):
            properties[name] = {"anyOf": [{"type": "string"}, properties[name]]}
    for name in WORDS_FOR_TEXT:
        definitions[name] = {"anyOf": [{"type": "string"}, definitions[name]]}
    optimizer = definitions["OptimizerGrid"]["anyOf"]
    optimizer[0] = {"type": "string", "enum": optimizer[1]["properties"]["name"]["enum"]}
    judge = definitions["FurtherJudge"]["anyOf"]
    judge[0] = judge[1]["properties"]["name"]
    definitions["PromptTemplate"] = _lists_beside(definitions["PromptTemplate"])
    words = schema["properties"]
    words["prompts"] = {"anyOf": [{"type": "string", "description": "a file of prompts, or lines of prompts (|)"}, words["prompts"]]}
    engine: dict[str, Any] = {"anyOf": [{"type": "string", "enum": list(ENGINES)}, words["engines"]["items"]]}
    words["engines"] = {"anyOf": [engine, {**words["engines"], "items": engine}]}
    judges: dict[str, Any] = next(kind for kind in words["judges"]["anyOf"] if kind.get("type") == "array")
    words["judges"] = {**words["judges"], "anyOf": [judges["items"], *words["judges"]["anyOf"]]}
    words["concepts"]["additionalProperties"] = False
    words["seeds"] = {**words["seeds"], "anyOf": [{"type": "integer", "minimum": 0}, *words["seeds"]["anyOf"]]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _lists_beside(template: dict[str, Any]) -> dict[str, Any]:
    """Allows a template's lists beside it, under their own names."""
    lists = {"type": "array", "items": {"type": "string"}}
    return {**template, "required": ["template"], "additionalProperties": lists}
