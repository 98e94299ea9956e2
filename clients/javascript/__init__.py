"""The JavaScript client: a package only so that an installation holds its files."""
