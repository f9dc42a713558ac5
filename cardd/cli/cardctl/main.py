"""The command line: global options, and a table of commands that are loaded when they are run."""

import importlib
from typing import Any

import click

from cardd import __version__
from cardd.cli.cardctl.session import Session, reporting_failures

# Name: module and attribute, and what `cardctl --help` says, so that it need not load them.
COMMANDS = {
    "status": ("workstation:status", "Show whether badges can be judged now, and why not."),
    "readers": ("workstation:readers", "List the readers and their cards."),
    "watch": ("watching:watch", "Show what happens, as it happens."),
    "authenticate": ("proofs:authenticate", "Wait for a badge or a CPS and say who holds it."),
    "assertion": ("proofs:assertion", "Get an assertion for another application."),
    "verify": ("verification:verify", "Verify an assertion, as a relying party does."),
    "verify-proof": (
        "proof_verification:verify_proof",
        "Verify what a CPS signed, with a root certificate alone.",
    ),
    "presence": ("presences:presence", "Who is at this workstation."),
    "holder": ("people:holder", "The people who may hold badges."),
    "badge": ("badges:badge", "Encode, inspect, list, revoke, re-key and wipe badges."),
    "trust": ("trust:trust", "The authorities and CRLs that CPS are verified with."),
    "cps": ("cps:cps", "The CPS in a reader: who it is, and its PIN."),
    "jwks": ("workstation:jwks", "Print the public keys that verify assertions."),
}


class LazyGroup(click.Group):
    """Loads a command when it is run, and takes `--json` wherever it stands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(f"cardd.cli.cardctl.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move `--json` to the front, where the group expects it."""
        end = args.index("--") if "--" in args else len(args)
        if "--json" in args[:end]:
            args.remove("--json")
            args.insert(0, "--json")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a refusal becomes a message and exit code 1, no daemon 3."""
        with reporting_failures(ctx):
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--socket",
    envvar="CARDD_SOCKET",
    default="/run/cardd/cardd.sock",
    show_default=True,
    show_envvar=True,
    metavar="PATH",
    help="Where cardd serves agents.",
)
@click.option(
    "--admin-socket",
    envvar="CARDD_ADMIN_SOCKET",
    default="/run/cardd/admin.sock",
    show_default=True,
    show_envvar=True,
    metavar="PATH",
    help="Where cardd serves administrators.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; `watch` prints one object a line."
)
@click.version_option(__version__, prog_name="cardctl", message="%(prog)s %(version)s")
@click.pass_context
def cardctl(ctx: click.Context, socket: str, admin_socket: str, *, as_json: bool) -> None:
    """Ask cardd who is at this workstation, and look after its badges.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 cardd does not answer.
    """
    ctx.obj = Session(socket, admin_socket, as_json)


def main() -> None:
    """Run cardctl."""
    cardctl(prog_name="cardctl")


if __name__ == "__main__":
    main()
