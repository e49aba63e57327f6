"""The review page: every published picture of a store, in a browser.

rows        what the page shows of sweeps and trials, asked of the tables
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
