"""`python -m dreamsweep`, the same as `dreamsweep`."""

from dreamsweep.cli.main import main

if __name__ == "__main__":
    main()
