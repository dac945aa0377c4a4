"""The report: one page that opens without a network, of what the archive knows of its market days.

It is made of the days and their audits alone. `page.html` is its frame; `page.js` draws the charts, by
Plotly, from lists of numbers; behind each chart is a table.
"""
