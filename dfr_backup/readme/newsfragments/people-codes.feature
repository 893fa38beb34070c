The dialog of an error shows its code, by which the documentation lists causes and remedies.
