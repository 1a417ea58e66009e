"""From runs in a tracking store to tables, figures and one page.

A reader's map, in the order in which a report is made:

- ``store``: the runs, their parameters, metrics and ledgers, read from MLflow
- ``groups``: runs that differ in nothing but their seed, and the parameters that tell groups apart
- ``statistics``: mean and interval over streams or seeds, paired comparison, equivalence, power, several comparisons
- ``effects``: what a study over streams has found, in sentences and a figure
- ``material``: what tables and figures are made from
- ``layout``: a table's columns and cells; as Markdown, CSV, LaTeX or in the terminal
- ``tables``: the tables of online runs and of fine-tuning
- ``style``: colours, markers and lines of a label, the same in every figure
- ``against``, ``ledgers``: the figures; ``pictures``: what they share
- ``build``: all of it into a folder, replaced as a whole or not at all; ``page``: the HTML page

Adding a table: write a function ``Material -> Table | None`` and name it in ``build.TABLES``. Adding a figure: write a
function ``Material -> Picture`` that raises ``NothingToDraw`` where its data are absent, and name it in
``build.PICTURES``.
"""
