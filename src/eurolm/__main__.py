"""`python -m eurolm`: the same as the console script."""

from eurolm.cli.main import main

if __name__ == "__main__":
    main()
