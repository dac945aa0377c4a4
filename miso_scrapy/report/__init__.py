"""The report: one HTML page about the market days of an archive. It opens without a network.

It is made from the market days and their audits only. `page.html` is the template. `page.js` draws the
charts with Plotly, from lists of numbers. The data of each chart are also in a table.
"""
