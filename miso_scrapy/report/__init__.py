"""The report: one HTML page about the market days of an archive. It opens without a network.

All figures are computed here, from `miso_scrapy.dataset`. `page.html` is the template. `page.js` draws
the charts with uPlot, and fills the tables, from the same data.

`uplot/` has files of uPlot, as its npm package ships them. To update them, copy
`dist/uPlot.iife.min.js`, `dist/uPlot.min.css` and `LICENSE` of a newer package over them.
"""
