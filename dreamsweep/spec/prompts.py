"""What to draw: prompts in a sweep file, from files and from templates."""

from typing import Annotated, Any

from pydantic import Discriminator, PositiveFloat, Tag, field_validator, model_validator

from dreamsweep.spec.base import PromptText, Spec, short_for


class Phrase(Spec):
    """A text and how strongly it steers."""

    text: PromptText
    weight: PositiveFloat = 1.0

    _plain_text = short_for("text")


class Prompt(Phrase):
    """What to draw: a text, further texts that steer along with it, and negatives that it is kept away from."""

    also: tuple[Phrase, ...] = ()
    negatives: tuple[Phrase, ...] = ()
    to: tuple[PromptText, ...] = ()
    """Texts that an interpolation goes on to, one after the other; other engines draw the text alone."""

    @field_validator("to", mode="before")
    @classmethod
    def _one_text(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class PromptFile(Spec):
    """Prompts from a file: `.txt`, one a line; `.csv`, columns `text`, and maybe `weight`, `negatives` and `to` (`|` between)."""

    file: str


class PromptTemplate(Spec):
    """One prompt for every combination: `template: "a {thing} of {name}"`, `lists: {thing: [bust], name: [steve jobs]}`."""

    template: PromptText
    lists: dict[str, tuple[str, ...]]
    negatives: tuple[Phrase, ...] = ()
    to: tuple[PromptText, ...] = ()
    """As in a prompt; the lists' names may stand in these as well."""

    @model_validator(mode="before")
    @classmethod
    def _plain_lists(cls, value: Any) -> Any:
        """The lists may stand beside the template: `{template: "a {thing}", thing: [bust, mask]}`."""
        if not isinstance(value, dict) or "lists" in value:
            return value
        known = {k: v for k, v in value.items() if k in cls.model_fields}
        return {**known, "lists": {k: v for k, v in value.items() if k not in cls.model_fields}}


def _kind_of_entry(entry: Any) -> str:
    """Which kind of prompt entry this is, by the word that only that kind has, so that an error speaks of that kind alone."""
    words = entry if isinstance(entry, dict) else getattr(entry, "model_fields_set", ())
    return "PromptTemplate" if "template" in words else "PromptFile" if "file" in words else "Prompt"


PromptEntry = Annotated[
    Annotated[Prompt, Tag("Prompt")] | Annotated[PromptTemplate, Tag("PromptTemplate")] | Annotated[PromptFile, Tag("PromptFile")],
    Discriminator(_kind_of_entry),
]
