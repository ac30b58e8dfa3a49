"""The version of the generator and of the component, in one place."""

VERSION = "0.1.0"
