"""What to draw: prompts in a sweep file, from files and from templates."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from dreamsweep.spec.base import PromptText, Spec, short_for


class Phrase(Spec):
    """A text and how strongly it steers."""

    text: PromptText
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    _plain_text = short_for("text")


def _listed(value: Any) -> Any:
    """Returns a single text is short for a list of it."""
    return (value,) if isinstance(value, str) else value


class Prompt(Phrase):
    """What to draw: a text, further texts that steer along with it, and negatives that it is kept away from."""

    also: tuple[Phrase, ...] = ()
    negatives: tuple[Phrase, ...] = ()
    to: tuple[PromptText, ...] = ()
    """Texts that an interpolation goes on to, one after the other; other engines draw the text alone."""

    _single_text = field_validator("also", "negatives", "to", mode="before")(_listed)

    @property
    def texts(self) -> dict[str, str]:
        """Every text of it that a network reads, by its field: `text`, `to[0]`, `also[0].text`, `negatives[0].text`."""
        to = {f"to[{number}]": text for number, text in enumerate(self.to)}
        lists = (("also", self.also), ("negatives", self.negatives))
        phrases = {f"{field}[{number}].text": phrase.text for field, listed in lists for number, phrase in enumerate(listed)}
        return {"text": self.text, **to, **phrases}


class PromptFile(Spec):
    """Prompts from a file: `.txt`, one a line; `.csv` and `.tsv`, columns `text`, and maybe `weight`, `also`, `negatives` and `to` (`|`
    between); `.json`, `.jsonl` and `.yaml`, a list of texts or of objects with the words of a prompt."""

    file: str
    parts: bool = False
    """Whether the texts hold parts and weights, such as `a red heart:2 | watercolor` or `a red heart::2 blur::-1`: the first part
    becomes the text, the others `also`, and those with a negative weight `negatives`."""


class PromptTemplate(Spec):
    """One prompt for every combination: `template: "a {thing} of {name}"`, `lists: {thing: [bust], name: [steve jobs]}`."""

    template: PromptText
    lists: dict[str, tuple[str, ...]]
    negatives: tuple[Phrase, ...] = ()
    to: tuple[PromptText, ...] = ()
    """As in a prompt; the lists' names may stand in these as well."""

    _single_text = field_validator("negatives", "to", mode="before")(_listed)

    @model_validator(mode="before")
    @classmethod
    def _plain_lists(cls, value: Any) -> Any:
        """Allows the lists to stand beside the template: `{template: "a {thing}", thing: [bust, mask]}`."""
        if not isinstance(value, dict) or "lists" in value:
            return value
        known = {k: v for k, v in value.items() if k in cls.model_fields}
        return {**known, "lists": {k: v for k, v in value.items() if k not in cls.model_fields}}


def _kind_of_entry(entry: Any) -> str:
    """Returns which kind of prompt entry this is, by the word that only that kind has, so that an error speaks of that kind alone."""
    words = entry if isinstance(entry, dict) else getattr(entry, "model_fields_set", ())
    return "PromptTemplate" if "template" in words else "PromptFile" if "file" in words else "Prompt"


PromptEntry = Annotated[
    Annotated[Prompt, Tag("Prompt")] | Annotated[PromptTemplate, Tag("PromptTemplate")] | Annotated[PromptFile, Tag("PromptFile")],
    Discriminator(_kind_of_entry),
]
