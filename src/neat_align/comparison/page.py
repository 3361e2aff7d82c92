"""The table and the pictures of a comparison."""


def write(directory, summary):
    pass


def terminal_table(summary):
    return ""
