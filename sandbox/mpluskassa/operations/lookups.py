"""Operations that read what an installation is: versions, markers, branches, VAT, ways to pay, employees, lists."""

from __future__ import annotations

from sandbox.mpluskassa import vat
from sandbox.mpluskassa.markers import FAMILIES, cut_page, get_marker
from sandbox.mpluskassa.stock import STOCK_ID
from sandbox.mpluskassa.structs import Record, to_date, to_moment
from sandbox.mpluskassa.till import Till

API_VERSION = {"majorNumber": 1, "minorNumber": 0, "revisionNumber": 0}
SERVICE_VERSION = (67, 1, 3)
NUMBER_NAMES = ("MajorNumber", "MinorNumber", "RevisionNumber")


def _versions(prefix: str) -> Record:
    return {prefix + name: number for name, number in zip(NUMBER_NAMES, SERVICE_VERSION, strict=True)}


def _server_clock(till: Till) -> Record:
    moment = till.clock()
    return {"serverDate": to_date(moment.date()), "serverDateTime": to_moment(moment)}


def get_api_version(till: Till, _request: Record) -> Record:
    """Versions and the size of the worker pool."""
    pool = {"serviceMinWorkerThreads": 2, "serviceMaxWorkerThreads": 8}
    versions = {**API_VERSION, **_versions("database"), **_versions("service"), **_versions("server")}
    flags = {"inDebugMode": False, "isSlaveApi": False, "slaveApiType": "NO-SLAVE-API"}
    return {**versions, **pool, **_server_clock(till), **flags, "serviceVersionDisplayString": "67.1.3"}


def get_database_version(till: Till, _request: Record) -> Record:
    """The version of the database behind the service."""
    own = dict(zip(("majorNumber", "minorNumber", "revisionNumber"), SERVICE_VERSION, strict=True))
    return {**own, **_versions("server"), **_server_clock(till)}


def get_license_information(till: Till, _request: Record) -> Record:
    """Whose installation this is and what it may do."""
    modules = [{"moduleGroup": 1, "moduleNumber": 1, "moduleDescription": "Webhooks"}]
    branches = [
        {
            "branchNumber": row["branchNumber"],
            "branchName": row["branchName"],
            "workplaceLimit": 5,
            "isGKS": False,
            "licensedModules": {"licensedModule": modules},
        }
        for row in till["branches"]
    ]
    named = {"obscuredLicenseKey": "****-****-****-0001", "companyName": "Winkel Voorbeeld", "city": "Utrecht"}
    return {**named, "licensedBranches": {"licensedBranch": branches}}


def _markers(till: Till) -> Record:
    return {f"{family}SyncMarker": get_marker(till, family) for family in FAMILIES} | {
        STOCK_ID: till.counters.get(STOCK_ID, 0)
    }


def get_current_sync_markers(till: Till, _request: Record) -> Record:
    """The highest marker of every family."""
    return _markers(till)


def get_current_sync_markers_v2(till: Till, request: Record) -> Record:
    """The highest markers of the families asked for."""
    asked = request["request"]
    return {
        name: marker
        for name, marker in _markers(till).items()
        if asked.get(f"include{name[0].upper()}{name[1:]}", False)
    }


def get_branches(till: Till, _request: Record) -> Record:
    """Branches with their workplaces."""
    return {"branches": {"branch": list(till["branches"])}}


def get_vat_group_list(till: Till, _request: Record) -> Record:
    """The current rates of all branches; one badly configured code fails the whole read."""
    for row in till["vat_groups"]:
        vat.check_configured(till, row["vatCode"])
    return {"vatGroup": list(till["vat_groups"])}


def get_turnover_groups(till: Till, _request: Record) -> Record:
    """Turnover groups with their ledger accounts."""
    return {"turnoverGroupList": {"turnoverGroup": list(till["turnover_groups"])}}


def get_payment_methods(till: Till, _request: Record) -> Record:
    """Every way to pay."""
    return {"paymentMethodList": {"paymentMethod": list(till["payment_methods"])}}


def get_payment_methods_v2(till: Till, request: Record) -> Record:
    """Ways to pay of an account or of some types."""
    asked = request["request"]
    account, kinds = asked.get("accountNumber"), asked["paymentMethodTypes"]
    methods = [
        row
        for row in till["payment_methods"]
        if (account is None or row["accountNumber"] == account) and (not kinds or row["type"] in kinds)
    ]
    return {"paymentMethodList": {"paymentMethod": methods}}


def get_delivery_methods(till: Till, request: Record) -> Record:
    """Ways to deliver; with `onlyEnabled` those in use."""
    only = request.get("request", {}).get("onlyEnabled", False)
    methods = [row for row in till["delivery_methods"] if row["enabled"] or not only]
    return {"deliveryMethodList": {"deliveryMethod": methods}}


def get_employees(till: Till, request: Record) -> Record:
    """Employees, by number or from a marker on."""
    asked = request.get("request", {})
    numbers = asked.get("employeeNumbers")
    rows = [row for row in till["employees"] if not numbers or row["employeeNumber"] in numbers]
    return {"employeeList": {"employee": cut_page(till, rows, asked)}}


def get_custom_field_lists(till: Till, _request: Record) -> Record:
    """The free fields that articles have."""
    return {"articleCustomFieldList": {"customField": list(till["custom_fields"])}}


def get_card_categories(till: Till, _request: Record) -> Record:
    """The categories of relations."""
    return {"relationCardCategoryList": {"cardCategory": list(till["card_categories"])}}


def get_sales_price_list(till: Till, _request: Record) -> Record:
    """Temporary prices by name."""
    return {"salesPrice": list(till["sales_prices"])}


def get_price_group_list(till: Till, _request: Record) -> Record:
    """Price groups by name."""
    return {"priceGroup": list(till["price_groups"])}


def get_webhook_consumers(till: Till, request: Record) -> Record:
    """The consumers of session events as they stand for one workplace; their secrets are not shown."""
    workplace = request["request"]["workplace"]
    consumers = [_consumer(row, workplace) for row in till["subscriptions"]]
    return {"webhookConsumerList": {"webhookConsumer": consumers}}


def _consumer(row: Record, workplace: Record) -> Record:
    events = [{"eventName": name, "blocking": False, "enabled": True} for name in row["events"]]
    return {
        "webhookConsumerId": row["subscriptionId"],
        "applicationName": "Boekhouding",
        "subscriptionId": row["subscriptionId"],
        "endpointUrl": row["endpoint"],
        "authenticationType": "WEBHOOK-AUTHENTICATION-TYPE-TOKEN",
        "authenticationScope": "",
        "webhookConsumerEventList": {"webhookConsumerEvent": events},
        "webhookConsumerTriggerPatternList": {"webhookConsumerTriggerPattern": []},
        "webhookConsumerWorkplaceList": {"webhookConsumerWorkplace": []},
        "webhookConsumerPaymentMethodList": {"paymentMethod": []},
        "enabled": True,
        "workplaceKey": workplace,
    }


HANDLERS = {
    "getApiVersion": get_api_version,
    "getDatabaseVersion": get_database_version,
    "getLicenseInformation": get_license_information,
    "getCurrentSyncMarkers": get_current_sync_markers,
    "getCurrentSyncMarkersV2": get_current_sync_markers_v2,
    "getBranches": get_branches,
    "getVatGroupList": get_vat_group_list,
    "getTurnoverGroups": get_turnover_groups,
    "getPaymentMethods": get_payment_methods,
    "getPaymentMethodsV2": get_payment_methods_v2,
    "getDeliveryMethods": get_delivery_methods,
    "getDeliveryMethodsV2": get_delivery_methods,
    "getEmployees": get_employees,
    "getCustomFieldLists": get_custom_field_lists,
    "getCardCategories": get_card_categories,
    "getSalesPriceList": get_sales_price_list,
    "getPriceGroupList": get_price_group_list,
    "getWebhookConsumers": get_webhook_consumers,
}
