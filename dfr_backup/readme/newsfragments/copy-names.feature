Copies are called by their date, in the time zone of the reader, and their storage, no longer by a file name; a search still finds the file name.
