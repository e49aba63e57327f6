"""Settings beside the trial: which pictures, films and states are kept, and which judge scores. Neither changes a pixel."""

from pydantic import NonNegativeInt, PositiveInt

from dreamsweep.spec.base import FilmFormat, Spec
from dreamsweep.spec.judges import FurtherJudge
from dreamsweep.spec.registry import JudgeName


class Keep(Spec):
    """Pictures, films and states that a shard keeps, beside the final and the best picture of each trial."""

    snapshot_every: NonNegativeInt
    """Iterations between snapshots; 0 keeps none."""
    films: tuple[FilmFormat, ...]
    """Formats in which the snapshots are kept as a film; the first is the one that tables name."""
    states: bool = False
    """Whether the final state of the batch is kept, from which more iterations can continue. A shard without it lacks nothing."""


class Judging(Spec):
    """The judge of a shard's pictures, and how often it scores them."""

    judge: JudgeName
    judge_every: PositiveInt
    """Iterations between scores."""


class Kept(Spec):
    """What exists of a trial beside its final and best picture, from all runs that kept something of it."""

    snapshots_every: tuple[NonNegativeInt, ...] = ()
    """Iterations between snapshots, of each run that asked for others."""
    films: tuple[FilmFormat, ...] = ()
    judged: tuple[Judging, ...] = ()
    judges: tuple[str, ...] = ()
    """Keys of the further judges that scored the best picture (`FurtherJudge.key`)."""

    def with_more(self, keep: Keep | None = None, judging: Judging | None = None, judge: FurtherJudge | None = None) -> "Kept":
        """Returns the same and what another run kept or scored."""
        return Kept(
            snapshots_every=tuple(dict.fromkeys((*self.snapshots_every, *((keep.snapshot_every,) if keep else ())))),
            films=tuple(dict.fromkeys((*self.films, *(keep.films if keep else ())))),
            judged=tuple(dict.fromkeys((*self.judged, *((judging,) if judging else ())))),
            judges=tuple(dict.fromkeys((*self.judges, *((judge.key,) if judge else ())))),
        )
