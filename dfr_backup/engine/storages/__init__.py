"""Where archives are kept: one module per kind of storage, one contract
(``base.Storage``)."""
