A schedule is also told in the reader's time zone where that differs, and the first plan and storage are named in the administrator's language.
