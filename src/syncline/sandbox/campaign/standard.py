"""The resources a fresh sandbox has: the profile as Adobe documents it, extended, and three custom resources.

Field names, lengths and defaults follow Adobe's data model pages (help/developing/using/datamodel-profile.md) and
API answers in public repositories. Opt-outs carry their `blackList...` wire names and their change times.
What never lives here: behaviour.
"""

from __future__ import annotations

from .fields import Field, Filter, Resource

__all__ = ["standard_resources"]

_GENDER = (("unknown", "0", "Unspecified"), ("male", "1", "Male"), ("female", "2", "Female"))
_EMAIL_FORMAT = (("unknown", "0", "Unknown"), ("text", "1", "Text"), ("html", "2", "HTML"))
_LANGUAGE = tuple((name, name, name) for name in ("none", "en", "fr", "de", "es", "it", "nl", "ja"))
_TIME_ZONE = (
    ("none", "none", "Default"),
    ("Europe_Paris", "Europe/Paris", "(GMT+01:00) Brussels, Copenhagen, Madrid, Paris"),
    ("Europe_Berlin", "Europe/Berlin", "(GMT+01:00) Amsterdam, Berlin, Berne, Rome, Stockholm, Vienna"),
    ("Europe_London", "Europe/London", "(GMT) Dublin, Edinburgh, Lisbon, London"),
    ("America_New_York", "America/New_York", "(GMT-05:00) Eastern Time"),
    ("Asia_Tokyo", "Asia/Tokyo", "(GMT+09:00) Osaka, Sapporo, Tokyo"),
)

#: Opt-out field -> the change times the server stamps. Push notification has none in any published answer.
_OPT_OUTS = {
    "blackList": ("blackListLastModified", "blackListAllLastModified"),
    "blackListEmail": ("blackListEmailLastModified",),
    "blackListFax": ("blackListFaxLastModified",),
    "blackListMobile": ("blackListMobileLastModified",),
    "blackListPhone": ("blackListPhoneLastModified",),
    "blackListPostalMail": ("blackListPostalMailLastModified",),
    "blackListPushnotification": (),
    "ccpaOptOut": ("ccpaOptOutLastModified",),
}


def standard_resources() -> dict[str, Resource]:
    """The resources of a fresh sandbox, by name."""
    resources = (_profile(), _vehicle(), _service_visit(), _no_key(), _org_unit())
    return {resource.name: resource for resource in resources}


def _string(name: str, length: int, **more: object) -> Field:
    return Field(name=name, kind="string", length=length, **more)  # type: ignore[arg-type]


def _audit() -> tuple[Field, ...]:
    return (
        Field(name="created", kind="datetime", label="Created", read_only=True),
        Field(name="lastModified", kind="datetime", label="Last modified", read_only=True),
    )


def _opt_outs() -> list[Field]:
    found = []
    for name, stamps in _OPT_OUTS.items():
        found.append(Field(name=name, kind="boolean", label=f"No longer contact ({name})", stamps=stamps))
        found.extend(Field(name=stamp, kind="datetime", label=stamp, read_only=True) for stamp in stamps)
    return found


def _location() -> Field:
    lengths = {"address1": 80, "address2": 80, "address3": 80, "address4": 80, "city": 80}
    lengths |= {"countryCode": 2, "stateCode": 8, "zipCode": 10}
    return Field(name="location", kind="item", label="Location", fields=tuple(_string(*one) for one in lengths.items()))


def _postal_address() -> Field:
    lines = tuple(_string(f"line{number}", 255, computed=True) for number in range(1, 7))
    inner = (
        Field(name="addrDefined", kind="boolean", computed=True),
        Field(name="addrErrorCount", kind="integer", computed=True),
        Field(name="addrLastCheck", kind="datetime", computed=True),
        _string("addrQuality", 1, blank="0", computed=True),
        *lines,
        _string("serialized", 255, computed=True),
    )
    return Field(name="postalAddress", kind="item", label="Postal address", fields=inner, read_only=True, computed=True)


def _profile_extension() -> tuple[Field, ...]:
    return (
        _string("cusLoyalty", 50, label="Loyalty", extended=True),
        Field(name="cusChildren", kind="integer", label="Children", extended=True),
        Field(name="cusScore", kind="float", label="Score", extended=True),
        Field(name="cusJoined", kind="date", label="Joined", extended=True),
        Field(name="cusLastVisit", kind="datetime", label="Last visit", extended=True),
        Field(name="cusVip", kind="boolean", label="VIP", extended=True),
        Field(name="orgUnit", kind="link", label="Organizational unit", target="orgUnitBase", extended=True),
        Field(
            name="cusVehicles", kind="collection", label="Vehicles", target="cusVehicle", link="owner", extended=True
        ),
    )


def _profile() -> Resource:
    fields = (
        Field(name="age", kind="integer", label="Age", read_only=True, computed=True),
        Field(name="birthDate", kind="date", label="Date of birth", category="0150_profile"),
        *_opt_outs(),
        *_audit(),
        _string("cryptedId", 255, label="Encrypted ID", read_only=True, computed=True),
        _string("domain", 255, label="Email domain", read_only=True, computed=True),
        _string("email", 128, label="Email", policy="email", category="0150_profile"),
        Field(name="emailFormat", kind="enumeration", label="Email format", values=_EMAIL_FORMAT, blank="unknown"),
        _string("externalId", 100, label="External Resource ID"),
        _string("fax", 32, label="Fax", policy="phone"),
        _string("firstName", 30, label="First name", policy="smartCase", category="0150_profile"),
        Field(name="gender", kind="enumeration", label="Gender", values=_GENDER, blank="unknown"),
        Field(name="isExternal", kind="boolean", label="Is external resource"),
        _string("lastName", 50, label="Last name", policy="smartCase", category="0150_profile"),
        _location(),
        _string("middleName", 30, label="Middle name", policy="smartCase"),
        _string("mobilePhone", 32, label="Mobile", policy="phone"),
        _string("phone", 32, label="Phone", policy="phone"),
        _postal_address(),
        Field(name="preferredLanguage", kind="enumeration", label="Language", values=_LANGUAGE, blank="none"),
        _string("salutation", 20, label="Title"),
        Field(name="subscriptions", kind="collection", label="Subscriptions", target="serviceSubscription"),
        _string("thumbnail", 255, label="Thumbnail", blank="/nl/img/thumbnails/defaultProfil.png"),
        Field(name="timeZone", kind="enumeration", label="Time zone", values=_TIME_ZONE, blank="none"),
        _string("title", 255, label="Label", read_only=True, computed=True),
        *_profile_extension(),
    )
    filters = (
        Filter(name="byText", any_of=("email", "lastName"), test="prefix", label="By name or email", built_in=True),
        Filter(name="byEmail", parameters={"email": "email"}, label="By email", built_in=True),
        Filter(name="byKeysProfile", parameters={"email": "email"}, label="By keys", built_in=True),
        Filter(name="byExternalId", parameters={"externalId_parameter": "externalId"}, label="By external id"),
        Filter(
            name="byLastModified",
            parameters={"lastModified_parameter": "lastModified"},
            test="at_least",
            label="Changed since",
        ),
    )
    return _resource("profile", "nms:recipient", "Profiles", "profile", fields, filters, key="externalId")


def _vehicle() -> Resource:
    fields = (
        _string("externalId", 100, label="External id"),
        _string("vehicleNumber", 50, label="Number"),
        _string("vehicleName", 100, label="Name"),
        Field(name="doors", kind="integer", label="Doors"),
        Field(name="price", kind="float", label="Price"),
        Field(name="electric", kind="boolean", label="Electric"),
        Field(name="built", kind="date", label="Built"),
        _string("ownerId", 100, label="Owner's external id"),
        Field(name="owner", kind="link", label="Owner", target="profile", column="ownerId"),
        *_audit(),
    )
    filters = (Filter(name="byExternalId", parameters={"externalId_parameter": "externalId"}, label="By external id"),)
    return _resource("cusVehicle", "cus:cusVehicle", "Vehicles", "ext", fields, filters, key="externalId")


def _service_visit() -> Resource:
    fields = (
        _string("externalId", 100, label="External id"),
        _string("garage", 100, label="Garage"),
        Field(name="visited", kind="datetime", label="Visited"),
        Field(name="cost", kind="float", label="Cost"),
        _string("vehicleId", 100, label="Vehicle's external id"),
        Field(name="vehicle", kind="link", label="Vehicle", target="cusVehicle", column="vehicleId"),
        *_audit(),
    )
    filters = (Filter(name="byExternalId", parameters={"externalId_parameter": "externalId"}, label="By external id"),)
    return _resource(
        "cusServiceVisit", "cus:cusServiceVisit", "Service visits", "custom", fields, filters, key="externalId"
    )


def _no_key() -> Resource:
    fields = (_string("externalId", 100, label="External id"), _string("label", 100, label="Label"))
    return _resource("cusNoKey", "cus:cusNoKey", "Without a key", "custom", fields, ())


def _org_unit() -> Resource:
    fields = (_string("name", 64, label="ID"), _string("label", 128, label="Label"), *_audit())
    filters = (Filter(name="byText", any_of=("name", "label"), test="prefix", label="By text", built_in=True),)
    return _resource("orgUnitBase", "xtk:orgUnit", "Organizational units", "ext", fields, filters, key="name")


def _resource(
    name: str,
    schema: str,
    label: str,
    exposure: str,
    fields: tuple[Field, ...],
    filters: tuple[Filter, ...],
    key: str = "",
) -> Resource:
    return Resource(
        name=name,
        schema=schema,
        label=label,
        exposure=exposure,
        fields={field.name: field for field in fields},
        filters={found.name: found for found in filters},
        key=key,
    )
