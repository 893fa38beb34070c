Plans and storages say what is dangerous about them, and why, while one changes them. A mounted network share
counts as another place. Lists have more filters and three favourites for everybody.
