"""Commands on applications."""

from cardd.desfire import applications
from cardd.desfire.applications import ApplicationSettings, DfName, encode_aid, parse_aids
from cardd.desfire.channel import Channel
from cardd.desfire.command import Command, Ins
from cardd.iso7816.exchange import Exchange


class ApplicationCommands(Channel):
    """Select, list, create and delete applications."""

    def select_application(self, aid: int, second_aid: int | None = None) -> Exchange[None]:
        """SelectApplication; 0 is the PICC. It ends the session.

        A second application, whose files may share a transaction with the first's, is for EV2 and
        later; `selected` is the first (not confirmed on a card).
        """
        return self.select(aid, second_aid)

    def get_application_ids(self) -> Exchange[tuple[int, ...]]:
        """GetApplicationIDs, in the card's order."""
        limit = applications.AID_BYTES * applications.MAX_APPLICATIONS
        command = Command(Ins.GET_APPLICATION_IDS, answer_bytes=(0, limit))
        return (yield from self.ask(command, parse_aids))

    def get_df_names(self) -> Exchange[tuple[DfName, ...]]:
        """GetDFNames: the applications that ISO 7816-4 commands find by name, one a frame."""
        most = applications.DF_NAME_ANSWER_BYTES[-1] * applications.MAX_APPLICATIONS
        command = Command(Ins.GET_DF_NAMES, answer_bytes=(0, most))
        return (yield from self.ask_by_frames(command, applications.parse_df_names))

    def create_application(
        self,
        aid: int,
        settings: ApplicationSettings,
        *,
        iso_file_id: int | None = None,
        df_name: bytes | None = None,
    ) -> Exchange[None]:
        """CreateApplication. With an ISO file identifier it may have a DF name, 1 to 16 bytes."""
        iso = applications.encode_iso_names(iso_file_id, df_name)
        header = encode_aid(aid) + settings.encode() + iso
        yield from self.perform(Command(Ins.CREATE_APPLICATION, header))

    def delete_application(self, aid: int) -> Exchange[None]:
        """DeleteApplication; deleting the selected one ends the session and selects the PICC."""
        yield from self.perform(Command(Ins.DELETE_APPLICATION, encode_aid(aid)))
        if self.selected == aid:
            self.session, self.selected = None, applications.PICC_AID
