"""The tables a new environment has: contact, account, two custom tables, activities, users and system tables.

Lives here: names, types, lengths and choices of the default schema, as data.
Never here: rows (see `Environment`) or behaviour.

The four `adobe_email*` activities follow the form labels Adobe publishes; only `adobe_emailsend` and four of its
columns were seen in public, the names of its siblings are inferred from that pattern.
"""

from __future__ import annotations

from collections.abc import Iterator

from .column_kinds import (
    CUSTOMER,
    SYSTEM,
    activity_table,
    boolean,
    choice,
    date,
    integer,
    lookup,
    moment,
    money,
    plain_table,
    text,
    user_owned_table,
)
from .tables import Column, Key, Schema, Table

__all__ = ["default_schema"]

PREFERENCE = ("Allow", "Do Not Allow")


def default_schema() -> Schema:
    """A fresh copy of the default schema."""
    return Schema([_contact(), _account(), _vehicle(), _service_visit(), *_activities(), *_system_tables()])


def _address(index: int) -> Iterator[Column]:
    prefix = f"address{index}_"
    yield Column(name=f"{prefix}composite", type="Memo", max_length=1000, **SYSTEM)
    yield text(f"{prefix}line1", 250)
    yield text(f"{prefix}line2", 250)
    yield text(f"{prefix}line3", 250)
    yield text(f"{prefix}city", 80)
    yield text(f"{prefix}stateorprovince", 50)
    yield text(f"{prefix}postalcode", 20)
    yield text(f"{prefix}country", 80)


def _opt_outs() -> Iterator[Column]:
    yield boolean("donotemail", *PREFERENCE, schema_name="DoNotEMail")
    yield boolean("donotbulkemail", *PREFERENCE, schema_name="DoNotBulkEMail")
    yield boolean("donotphone", *PREFERENCE, schema_name="DoNotPhone")
    yield boolean("donotfax", *PREFERENCE, schema_name="DoNotFax")
    yield boolean("donotpostalmail", *PREFERENCE, schema_name="DoNotPostalMail")
    yield boolean("donotsendmm", "Send", "Do Not Send", schema_name="DoNotSendMM")


def _contact() -> Table:
    channels = [(1, "Any"), (2, "Email"), (3, "Phone"), (4, "Fax"), (5, "Mail")]
    interests = [(1, "Sports"), (2, "Music"), (3, "Travel"), (8, "Food"), (9, "Technology")]
    columns = [
        text("firstname", 50, schema_name="FirstName"),
        text("lastname", 50, schema_name="LastName", required="ApplicationRequired"),
        text("fullname", 160, schema_name="FullName", **SYSTEM),
        text("middlename", 50, schema_name="MiddleName"),
        text("salutation"),
        text("jobtitle"),
        text("emailaddress1", schema_name="EMailAddress1"),
        text("emailaddress2", schema_name="EMailAddress2"),
        text("telephone1", 50, schema_name="Telephone1"),
        text("mobilephone", 50, schema_name="MobilePhone"),
        text("fax", 50),
        date("birthdate", schema_name="BirthDate"),
        date("anniversary"),
        choice("gendercode", [(1, "Male"), (2, "Female")], schema_name="GenderCode"),
        choice("preferredcontactmethodcode", channels, default=1),
        choice("new_interests", interests, type_name="MultiSelectPicklist", custom=True, schema_name="new_Interests"),
        choice(
            "new_loyaltytier",
            [(100000000, "Bronze"), (100000001, "Silver"), (100000002, "Gold")],
            custom=True,
            schema_name="new_LoyaltyTier",
            option_set="new_loyaltytier",
            global_option_set=True,
        ),
        money("creditlimit"),
        lookup("transactioncurrencyid", "transactioncurrency"),
        integer("numberofchildren", 0, 1000000000),
        Column(
            name="new_score",
            type="Decimal",
            schema_name="new_Score",
            minimum=-100000000000,
            maximum=100000000000,
            precision=2,
            custom=True,
        ),
        Column(
            name="address1_latitude",
            type="Double",
            minimum=-90,
            maximum=90,
            precision=5,
        ),
        Column(name="address1_longitude", type="Double", minimum=-180, maximum=180, precision=5),
        *_opt_outs(),
        boolean("creditonhold"),
        boolean("merged", **SYSTEM),
        lookup("masterid", "contact", **SYSTEM),
        Column(name="parentcustomerid", type="Customer", targets=CUSTOMER, schema_name="ParentCustomerId"),
        *_address(1),
        *_address(2),
        text("websiteurl", 200),
        moment("lastusedincampaign"),
        moment("new_appointment", behavior="TimeZoneIndependent", custom=True, schema_name="new_Appointment"),
        Column(name="description", type="Memo", max_length=2000),
        Column(name="entityimage", type="Virtual"),
    ]
    return user_owned_table(
        "contact", "contacts", 2, columns, primary_name="fullname", schema_name="Contact", display_name="Contact"
    )


def _account() -> Table:
    columns = [
        text("name", 160, schema_name="Name", required="ApplicationRequired"),
        text("accountnumber", 20, schema_name="AccountNumber"),
        text("emailaddress1", schema_name="EMailAddress1"),
        text("telephone1", 50, schema_name="Telephone1"),
        text("fax", 50),
        text("websiteurl", 200),
        choice("industrycode", [(1, "Accounting"), (2, "Agriculture"), (3, "Broadcasting")]),
        choice("accountcategorycode", [(1, "Preferred Customer"), (2, "Standard")]),
        money("revenue"),
        money("creditlimit"),
        lookup("transactioncurrencyid", "transactioncurrency"),
        integer("numberofemployees", 0, 1000000000),
        *_opt_outs(),
        boolean("merged", **SYSTEM),
        lookup("masterid", "account", **SYSTEM),
        lookup("primarycontactid", "contact", schema_name="PrimaryContactId"),
        lookup("parentaccountid", "account", schema_name="ParentAccountId"),
        *_address(1),
        Column(name="description", type="Memo", max_length=2000),
    ]
    table = user_owned_table("account", "accounts", 1, columns, schema_name="Account", display_name="Account")
    table.keys["accountnumber_key"] = Key(name="accountnumber_key", columns=("accountnumber",))
    return table


def _vehicle() -> Table:
    columns = [
        text("new_name", schema_name="new_Name", custom=True, required="ApplicationRequired"),
        text("new_vin", 20, schema_name="new_Vin", custom=True),
        text("new_plate", 20, schema_name="new_Plate", custom=True),
        text("new_make", 50, schema_name="new_Make", custom=True),
        choice(
            "new_fuel",
            [(100000000, "Petrol"), (100000001, "Diesel"), (100000002, "Electric")],
            custom=True,
            schema_name="new_Fuel",
        ),
        integer("new_mileage", 0, 10000000, custom=True, schema_name="new_Mileage"),
        money("new_price", custom=True, schema_name="new_Price"),
        lookup("transactioncurrencyid", "transactioncurrency"),
        date("new_registeredon", custom=True, schema_name="new_RegisteredOn"),
        lookup("new_contactid", "contact", custom=True, indexed=True, schema_name="new_ContactId"),
    ]
    table = user_owned_table(
        "new_vehicle",
        "new_vehicles",
        10201,
        columns,
        primary_name="new_name",
        schema_name="new_Vehicle",
        display_name="Vehicle",
        custom=True,
    )
    table.keys["new_vin_key"] = Key(name="new_vin_key", columns=("new_vin",))
    return table


def _service_visit() -> Table:
    columns = [
        text("new_name", schema_name="new_Name", custom=True, required="ApplicationRequired"),
        moment("new_visitedon", custom=True, schema_name="new_VisitedOn"),
        Column(name="new_notes", type="Memo", max_length=4000, custom=True, schema_name="new_Notes"),
        money("new_cost", custom=True, schema_name="new_Cost"),
        lookup("transactioncurrencyid", "transactioncurrency"),
        boolean("new_warranty", custom=True, schema_name="new_Warranty"),
        lookup("new_vehicleid", "new_vehicle", custom=True, indexed=True, schema_name="new_VehicleId"),
    ]
    return user_owned_table(
        "new_servicevisit",
        "new_servicevisits",
        10202,
        columns,
        primary_name="new_name",
        schema_name="new_ServiceVisit",
        display_name="Service Visit",
        custom=True,
    )


def _activities() -> Iterator[Table]:
    yield activity_table(
        "task",
        "tasks",
        4212,
        [text("category", 250), integer("percentcomplete", 0, 100)],
        regarding=(*CUSTOMER, "new_vehicle", "new_servicevisit"),
        schema_name="Task",
        display_name="Task",
    )
    kinds = [
        ("send", "senton", "Adobe Campaign Email Send"),
        ("open", "openedon", "Adobe Campaign Email Open"),
        ("click", "clickedon", "Adobe Campaign Email URL Click"),
        ("bounce", "bouncedon", "Adobe Campaign Email Bounce"),
    ]
    for code, (kind, when, label) in enumerate(kinds, start=10301):
        columns = [
            text("adobe_campaignname", 400, custom=True),
            text("adobe_deliveryname", 400, custom=True),
            text("adobe_mirrorpageurl", 2000, custom=True),
            moment(f"adobe_{when}", custom=True),
        ]
        if kind == "click":
            columns.append(text("adobe_trackingurl", 2000, custom=True))
        yield activity_table(
            f"adobe_email{kind}",
            f"adobe_email{kind}s",
            code,
            columns,
            display_name=label,
            custom=True,
            change_tracking=False,
        )


def _system_tables() -> Iterator[Table]:
    untracked = {"change_tracking": False, "bulk": False}
    yield plain_table(
        "systemuser",
        "systemusers",
        8,
        [
            text("fullname", 200),
            text("domainname", 1024),
            text("internalemailaddress"),
            Column(name="applicationid", type="Uniqueidentifier"),
            Column(name="azureactivedirectoryobjectid", type="Uniqueidentifier"),
            boolean("isdisabled", "Enabled", "Disabled"),
            lookup("businessunitid", "businessunit"),
        ],
        primary_name="fullname",
        schema_name="SystemUser",
        bulk=False,
    )
    yield plain_table("team", "teams", 9, [text("name", 160)], schema_name="Team", bulk=False)
    yield plain_table("businessunit", "businessunits", 10, [text("name", 160)], schema_name="BusinessUnit", **untracked)
    yield plain_table(
        "transactioncurrency",
        "transactioncurrencies",
        9105,
        [text("currencyname"), text("isocurrencycode", 5), text("currencysymbol", 13)],
        primary_name="currencyname",
        schema_name="TransactionCurrency",
        **untracked,
    )
    yield plain_table(
        "organization",
        "organizations",
        1019,
        [
            text("name", 160),
            integer("expirechangetrackingindays"),
            integer("expiresubscriptionsindays"),
            integer("languagecode"),
            integer("maxuploadfilesize"),
        ],
        can_track=False,
        schema_name="Organization",
        **untracked,
    )
    yield plain_table("sdkmessage", "sdkmessages", 4606, [text("name", 256)], can_track=False, **untracked)
    yield plain_table(
        "sdkmessagefilter",
        "sdkmessagefilters",
        4607,
        [text("primaryobjecttypecode", 128), lookup("sdkmessageid", "sdkmessage")],
        primary_name="primaryobjecttypecode",
        can_track=False,
        **untracked,
    )
    yield plain_table(
        "activityparty",
        "activityparties",
        135,
        [
            lookup("partyid", *CUSTOMER, "systemuser"),
            lookup(
                "activityid",
                "task",
                *(f"adobe_email{kind}" for kind in ("send", "open", "click", "bounce")),
                indexed=True,
            ),
            integer("participationtypemask", 0, 12),
        ],
        primary_name="participationtypemask",
        can_track=False,
        schema_name="ActivityParty",
        **untracked,
    )
