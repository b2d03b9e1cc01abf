"""`python -m bertsmith` is `bertsmith`."""

from bertsmith.cli.main import run

if __name__ == "__main__":
    run()
