"""`python -m pienn`: the command `pienn`, also where it is not installed."""

from pienn.cli import main

if __name__ == "__main__":
    main()
