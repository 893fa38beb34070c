Another addon can add a kind of storage or a kind of run without changing this one.
