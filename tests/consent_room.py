"""What tests of opt-outs share: two people, two pairs, and both systems as on the first day."""

from __future__ import annotations

from datetime import timedelta

from syncline import FieldMapping, TableMapping
from syncline.definitions import OptOutPair
from syncline.sandbox import Sandbox
from syncline.workflows.settings import EngineSettings

EMAIL = OptOutPair(dynamics="donotbulkemail", campaign="denyListEmail")
PHONE = OptOutPair(dynamics="donotphone", campaign="blackListPhone")
CONTACTS = TableMapping(
    table="contact", resource="profile", fields=[FieldMapping(source="lastname", target="lastName")]
)
SETTINGS = EngineSettings(retry_first=timedelta(milliseconds=5), retry_most=timedelta(milliseconds=20))
ANN = "11111111-1111-4111-8111-111111111111"
BOB = "22222222-2222-4222-8222-222222222222"


def first_day(sandbox: Sandbox) -> Sandbox:
    """Nothing in Campaign, and Ann and Bob in Dynamics, who opted out of nothing."""
    sandbox.dynamics.call("reset")
    sandbox.campaign.call("reset")
    flags = {"donotbulkemail": False, "donotphone": False}
    sandbox.dynamics.load("contact", [{"contactid": one, "lastname": one[:4], **flags} for one in (ANN, BOB)])
    return sandbox
