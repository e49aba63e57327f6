"""Marks and duels that hold: what the tables `ratings` and `duels` say once everything that was marked anew is left out."""

HOLDING = """
SELECT sweep, trial_id, rated_by, kind, value, text, rated_at FROM ratings WHERE kind IN ('pick', 'stars', 'tag', 'note')
QUALIFY row_number() OVER (
    PARTITION BY sweep, trial_id, rated_by, kind, CASE kind WHEN 'tag' THEN text END ORDER BY rated_at DESC, rating_id DESC
) = 1
"""
"""The marks that hold: of the table `ratings`, the last of each person, trial, kind and tag."""

HOLDING_DUELS = """
SELECT sweep, left_trial_id, right_trial_id, winner, rated_by FROM duels
QUALIFY row_number() OVER (
    PARTITION BY sweep, rated_by, least(left_trial_id, right_trial_id), greatest(left_trial_id, right_trial_id)
    ORDER BY rated_at DESC, duel_id DESC
) = 1
"""
"""The duels that hold: of the table `duels`, the last of each person and pair. What was taken back has the winner `none`."""
