A guided set-up asks where backups go, when, how long they stay, who is told and how safe they are, tests all of it,
and ends on the first backup. The overview answers whether the data can be restored, point by point, with a button
for each that is missing.
