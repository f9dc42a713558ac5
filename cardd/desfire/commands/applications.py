"""Commands on applications."""

from cardd.desfire import applications
from cardd.desfire.applications import ApplicationSettings, encode_aid, parse_aids
from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, Ins
from cardd.iso7816.exchange import Exchange


class ApplicationCommands(Channel):
    """Select, list, create and delete applications."""

    def select_application(self, aid: int) -> Exchange[None]:
        """SelectApplication; 0 is the PICC. It ends the session."""
        return self.select(aid)

    def get_application_ids(self) -> Exchange[tuple[int, ...]]:
        """GetApplicationIDs, in the card's order."""
        limit = applications.AID_BYTES * applications.MAX_APPLICATIONS
        command = Command(Ins.GET_APPLICATION_IDS, answer_bytes=(0, limit))
        return (yield from self.ask(command, parse_aids))

    def create_application(self, aid: int, settings: ApplicationSettings) -> Exchange[None]:
        """CreateApplication, without ISO identifiers."""
        header = encode_aid(aid) + settings.encode()
        yield from self.perform(Command(Ins.CREATE_APPLICATION, header))

    def delete_application(self, aid: int) -> Exchange[None]:
        """DeleteApplication; deleting the selected one ends the session and selects the PICC."""
        yield from self.perform(Command(Ins.DELETE_APPLICATION, encode_aid(aid)))
        if self.selected == aid:
            self.session, self.selected = None, applications.PICC_AID
