"""Sections of a report by their names, and which of them a report shows."""

from collections.abc import Callable, Mapping

from dreamsweep.report.study.curves import curves_section, decline_section, loss_section
from dreamsweep.report.study.data import Study
from dreamsweep.report.study.details import labels_section, segments_section
from dreamsweep.report.study.parts import Section
from dreamsweep.report.study.phrasings import phrasings_section
from dreamsweep.report.study.pictures import films_section, pictures_section
from dreamsweep.report.study.scores import scores_section
from dreamsweep.report.study.sets import sets_section
from dreamsweep.report.study.settings import settings_section
from dreamsweep.report.study.walks import between_section
from dreamsweep.spec.report import Report, SectionName

SECTIONS: Mapping[SectionName, Callable[[Study, Report], Section]] = {
    "pictures": pictures_section,
    "scores": scores_section,
    "curves": curves_section,
    "loss": loss_section,
    "decline": decline_section,
    "phrasings": phrasings_section,
    "labels": labels_section,
    "segments": segments_section,
    "between": between_section,
    "films": films_section,
    "sets": sets_section,
    "settings": settings_section,
}
"""Each section by its name, in the order of a report that asks for none."""


def sections(study: Study, report: Report) -> list[Section]:
    """Returns the sections that were asked for, in that order; without any, all that the sweep has something for."""
    if report.sections:
        return [SECTIONS[name](study, report) for name in report.sections]
    return [section for make in SECTIONS.values() if (section := make(study, report)).parts]
