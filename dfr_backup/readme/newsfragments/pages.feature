Every page can be used with the keyboard, on a telephone and from right to left; no sign is a colour only. Cancelling a run on the overview asks first.
