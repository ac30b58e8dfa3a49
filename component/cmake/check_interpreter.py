"""Says in one line what an interpreter lacks to run the generator, and exits with 1: check_interpreter.py [--torch]

Runs on any Python 3.6, imports nothing of what it looks for (importing torch takes seconds), and takes the list from
generator/pyproject.toml.
"""

import importlib.util
import os
import re
import sys

GENERATOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "generator")
OLDEST, NEWEST = (3, 10), (3, 13)
OTHER = "name another interpreter with PYTHON or -DPIENN_PYTHON="


def requirements(key):
    """The requirements under a key of pyproject.toml."""
    with open(os.path.join(GENERATOR, "pyproject.toml"), encoding="utf-8") as file:
        found = re.search(rf"^{key} = \[(.*?)\]", file.read(), re.DOTALL | re.MULTILINE)
    return re.findall(r'"([^"]+)"', found.group(1))


def complaint(torch):
    """What is wrong and what mends it; None if nothing is."""
    major, minor = sys.version_info[:2]
    if not OLDEST <= (major, minor) <= NEWEST:
        return f"{sys.executable} is Python {major}.{minor}, PIE-NN needs 3.10 to 3.13: {OTHER}"
    wanted = requirements("dependencies") + (requirements("torch") if torch else [])
    missing = [one for one in wanted if importlib.util.find_spec(re.match(r"\w+", one).group()) is None]
    if not missing:
        return None
    packages = " ".join(f"'{one}'" for one in missing)
    graph_file = ", or export a .pie file, which needs no torch" if torch else ""
    return (
        f"{sys.executable} lacks packages: {sys.executable} -m pip install {packages}, or {OTHER}{graph_file}"
    )


if __name__ == "__main__":
    sys.exit(complaint("--torch" in sys.argv[1:]))
