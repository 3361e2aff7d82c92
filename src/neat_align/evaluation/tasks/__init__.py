"""Tasks, one file per benchmark; a file here is found by being here."""
