Every error of a run and a step has its code in a column of its own: filter, group and export by it. Errors, hints and
logs are kept as values and shown in the language of whoever reads them, whoever caused them.
