"""Run as `python -m tests.dreamsweep.regenerate_golden_ids`: writes golden_ids.txt anew, which orphans every picture ever made."""

from dreamsweep import expand
from tests.dreamsweep.test_expand import GOLDEN, a_sweep

if __name__ == "__main__":
    sweep = a_sweep(engines=["dalle", "strokes"], seeds=[0, 7], iterations=50)
    GOLDEN.write_text("\n".join(t.id for t in expand.trials(sweep)) + "\n")
