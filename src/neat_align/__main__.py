"""`python -m neat_align`: the `neat` command."""

from neat_align.cli import main

if __name__ == "__main__":
    main()
