"""The `pienn` command: one door to every tool, each loaded only when it is called."""

from __future__ import annotations

import sys
import traceback
from importlib import import_module

import click

from pienn.errors import PiennError
from pienn.version import VERSION

# command -> the module that holds its click command under the same name
COMMANDS = {
    "export": "pienn.commands.export",
    "compile": "pienn.commands.compile",
    "new-project": "pienn.commands.new_project",
    "run": "pienn.commands.run",
    "verify": "pienn.commands.verify",
    "opt": "pienn.commands.opt",
    "inspect": "pienn.commands.inspect",
    "prove": "pienn.commands.prove",
    "bench": "pienn.commands.bench",
    "report": "pienn.commands.report",
    "asm": "pienn.isa.commands",
    "disasm": "pienn.isa.commands",
    "isa": "pienn.isa.commands",
    "sim": "pienn.sim.commands",
}
SUMMARIES = {
    "export": "Quantise a torch model and write a .pie graph file.",
    "compile": "Turn a graph file or a checkpoint into C.",
    "new-project": "Write a firmware project that checks a model on the chip.",
    "run": "Run a model on inputs from a .npy file.",
    "verify": "Check that torch, interpreter and C agree in every element.",
    "opt": "Run passes over a graph file and print the result.",
    "inspect": "Show the layers of a graph file.",
    "prove": "Show how sums fit the ESP32-S3's 20 bits, block by block.",
    "bench": "Measure accuracy, kernels and models.",
    "report": "Write a page that shows a network on a chip.",
    "asm": "Assemble a .S file.",
    "disasm": "Disassemble a flat image or an ELF file.",
    "isa": "Look instructions up.",
    "sim": "Simulate programs and kernels of both chips.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for: `pienn --help` stays instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in COMMANDS])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="pienn")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
def pienn(verbose: bool) -> None:
    """PIE-NN: from a PyTorch model to bit-exact int8 C for the ESP32-P4 and ESP32-S3.

    \b
    pienn export --factory model:build --weights model.pt --calibration inputs.npz -o model.pie
    pienn compile model.pie --target esp32p4 -o generated
    pienn verify model.pie --random 200
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit 0 good, 1 a check failed, 2 bad input; no traceback without -v."""
    arguments = sys.argv[1:] if arguments is None else arguments
    verbose = bool(arguments) and arguments[0] in ("-v", "--verbose")
    try:
        sys.exit(pienn.main(arguments, prog_name="pienn", standalone_mode=False) or 0)
    except click.exceptions.Abort:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (PiennError, OSError, MemoryError) as error:
        if verbose:
            traceback.print_exc()
        print(f"error: {describe(error)}", file=sys.stderr)
        sys.exit(2)


def describe(error: Exception) -> str:
    """One line for the user."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
