"""The review page: every published picture of a store, in a browser.

rows        what the page shows of all sweeps, and of one trial, asked of the tables
catalogues  the trials of a wall, kept in memory and in a folder
wall        a wall, a page at a time: filtered, sorted, grouped, as a grid
marks       what people leave: picks, stars, tags, notes
agreement   how far they agree
app         the addresses that a browser asks for
protection  names, login and headers before them; patience: a time limit on requests
takeaway    downloads, and new sweeps
ask         questions in SQL
live        running sweeps
page/       what it gets: one HTML file, its style and its script
command     `dreamsweep review`
"""
