"""Writes golden_ids.txt anew; do so only when orphaning every picture already made is what you want."""

from test_expand import GOLDEN, a_sweep

from dreamsweep import expand

if __name__ == "__main__":
    sweep = a_sweep(engines=["dalle", "strokes"], seeds=[0, 7], iterations=50)
    GOLDEN.write_text("\n".join(t.id for t in expand.trials(sweep)) + "\n")
