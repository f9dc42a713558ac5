"""An inspection for a person: what the card is, what is wrong with it, then what is on it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.text import Text
from rich.tree import Tree

from cardd.cli.cardctl.output import print_facts, print_tree
from cardd.cli.cardctl.text import moment, person, plain
from cardd.client import Inspection

_PRODUCTS = {
    "d40": "DESFire of the first generation",
    "ev1": "DESFire EV1",
    "ev2": "DESFire EV2",
    "ev3": "DESFire EV3",
}
_UIDS = {
    "random": "another at each tap",
    "single": "4 bytes",
    "double": "7 bytes, fixed",
    "triple": "10 bytes, fixed",
}
_GENUINE = {
    "genuine": "yes, signed by its maker ({})",
    "not-verified": "not proven: its signature is by none of the keys that are known",
    "not-checked": "not proven: the card hides the UID that was signed",
    "not-supported": "not proven: the card gives no signature",
}
_VIRTUAL = "no, a virtual card: signed with a test key"
_KEYS = {"2tdea": "DES", "3tdea": "3K3DES", "aes": "AES"}
_MODES = {"plain": "in clear", "mac": "with a MAC", "full": "enciphered"}
_NOTE = ("- ", None)
_MARKS: Mapping[str, tuple[str, str | None]] = {
    "critical": ("!!", "red"),
    "warning": ("! ", "yellow"),
    "note": _NOTE,
}
_PICC = "000000"
_KIB = 1024


def show(seen: Inspection) -> None:
    """Print an inspection."""
    print_facts({**_badge_facts(seen), **_card_facts(seen.card)})
    click.echo()
    _show_findings(seen)
    click.echo()
    print_tree(_contents(seen))


def _badge_facts(seen: Inspection) -> dict[str, str]:
    """Return whose badge it is, or why nobody knows."""
    if seen.badge is None:
        problem = seen.unavailable
        why = "" if problem is None else problem.user_message
        return {"badge": f"not read under keys of this establishment. {why}".strip()}
    registry = seen.badge.registry
    reason = f" ({registry['reason']})" if registry["reason"] else ""
    return {
        "badge": registry["number"],
        "holder": person(seen.badge.holder),
        "state": f"{registry['state']}{reason}, expires {moment(registry['expires_at'])}",
    }


def _card_facts(card: Mapping[str, Any]) -> dict[str, str]:
    storage = card["storage_bytes"]
    product = _PRODUCTS.get(card["product"], "not a DESFire that is known")
    free_bytes = card["free_bytes"]
    made = card["production"]
    genuine = card["originality"]
    facts = {
        "card": f"{product}, {_size(storage)}" if storage else product,
        "UID": f"{card['uid']} ({_UIDS.get(card['uid_kind'], '')})",
        "genuine": _VIRTUAL
        if genuine["test"]
        else _GENUINE[genuine["state"]].format(genuine["key"]),
    }
    if made is not None:
        facts["made"] = f"week {made['week']} of {made['year']}, batch {card['batch']}"
    if free_bytes is not None:
        facts["free"] = f"{free_bytes:,} bytes"
    return facts


def _size(storage: Sequence[int]) -> str:
    least, most = (_in_kib(each) for each in storage)
    return least if least == most else f"{least} to {most}"


def _in_kib(size: int) -> str:
    return f"{size // _KIB} KB" if size >= _KIB else f"{size} bytes"


def _show_findings(seen: Inspection) -> None:
    if not seen.findings:
        click.echo("Nothing is wrong with it." if seen.badge else "Nothing to say about it.")
    for finding in seen.findings:
        mark, colour = _MARKS.get(finding.severity, _NOTE)
        click.secho(f"{mark} {plain(finding.sentence)}", fg=colour)
        click.echo(f"   {plain(finding.advice)}")


def _contents(seen: Inspection) -> Tree:
    """Return what is on the card: its own level, the applications, their files."""
    levels = {level["aid"]: level for level in (seen.card["picc"], *seen.card["applications"])}
    told, ours = [seen.card["listed"]], None
    if seen.badge is not None:
        read = seen.badge.card
        levels |= {level["aid"]: level for level in (read["picc"], read["application"]) if level}
        told.append(read["listed"])
        ours = read["application"] and read["application"]["aid"]
    tree = Tree(_line("the card itself", levels[_PICC]))
    listed = [aid for each in told for aid in each or ()]
    for aid in dict.fromkeys((*listed, *levels)):
        if aid != _PICC:
            whose = " (the badge)" if aid == ours else ""
            branch = tree.add(_line(f"application {aid}{whose}", levels.get(aid, {})))
            for line in _files(levels.get(aid, {})):
                branch.add(line)
    if all(each is None for each in told):
        tree.add(Text("its applications are not listed without its key"))
    return tree


def _line(name: str, level: Mapping[str, Any]) -> Text:
    parts = [name]
    if level.get("key_type"):
        count, kind = level["key_count"], _KEYS.get(level["key_type"], level["key_type"])
        parts.append(f"{count} {kind} key{'s' if count > 1 else ''}")
    if level.get("key_versions"):
        parts.append("of version " + " and ".join(str(each) for each in level["key_versions"]))
    if level.get("df_name"):
        parts.append(f"name {level['df_name']}")
    settings = level.get("settings")
    if settings is None:
        parts.append("settings not told without its key")
    elif settings["free_create_delete"] or settings["free_directory"]:
        parts.append("open: anybody may " + _free(settings))
    else:
        parts.append("closed: its key is needed for everything")
    return Text(plain("; ".join(parts)))


def _free(settings: Mapping[str, Any]) -> str:
    words = {"free_directory": "list", "free_create_delete": "create and delete"}
    return " and ".join(word for name, word in words.items() if settings[name])


def _files(level: Mapping[str, Any]) -> Iterator[Text]:
    for file in level.get("files") or ():
        if file.get("type") is None:
            yield Text(f"file {file['number']}: its settings cannot be read")
            continue
        size = f", {file['size_bytes']} bytes" if file.get("size_bytes") else ""
        records = f", at most {file['records']} records" if file.get("records") else ""
        rights = "; or ".join(map(_rights, (file, *file.get("additional", ()))))
        mode = _MODES.get(file["mode"], file["mode"])
        yield Text(plain(f"file {file['number']}: {file['type']}{size}{records}, {mode}; {rights}"))


def _rights(rights: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{right.replace('_', ' and ')}: {_who(rights[right])}"
        for right in ("read", "write", "read_write", "change")
        if rights[right] != "never"
    )


def _who(right: int | str) -> str:
    return "anybody" if right == "free" else f"key {right}"
