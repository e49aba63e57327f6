"""Export: what people chose of the published sweeps, to take away.

selection    which trials: marks, stars, tags, search words, the best of each prompt, ids
conditions   search words, as the review page reads them
chosen       the rows of a selection, and its pictures, a few at a time
containers   what files go into: a folder, a zip, a single file; never half of one
formats      every format by its name
pictures     zip, folder and contact sheet; CSV and Parquet
datasets     imagefolder and WebDataset
pairs        preference pairs
gallery      a page that opens from disk
again        a selection as a sweep of its own
"""
