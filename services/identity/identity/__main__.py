"""The command line: `python -m identity api|worker|all|migrate`."""

from identity.main import service

if __name__ == "__main__":
    service.main()
