"""Marks that hold: what the table `ratings` says once everything that was taken back or marked anew is left out."""

HOLDING = """
SELECT sweep, trial_id, rated_by, kind, value, text, rated_at FROM ratings WHERE kind IN ('pick', 'stars', 'tag', 'note')
QUALIFY row_number() OVER (
    PARTITION BY sweep, trial_id, rated_by, kind, CASE kind WHEN 'tag' THEN text END ORDER BY rated_at DESC, rating_id DESC
) = 1
"""
"""The marks that hold: of the table `ratings`, the last of each person, trial, kind and tag."""
