"""The faults Intuit answers with: codes, texts and the shape of the error body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]


@dataclass(eq=False)
class Fault(Exception):
    """One refused call: the error's `code`, its texts, the HTTP `status` and the fault `type`.

    `element` names the offending property; None leaves the key out, as recorded answers do.
    """

    code: str
    message: str
    detail: str
    element: str | None = None
    status: int = 400
    type: str = "ValidationFault"

    def to_json(self) -> Json:
        """The `Fault` object, as it stands in an error body or in one member of a batch answer."""
        error: Json = {"Message": self.message, "Detail": self.detail, "code": self.code}
        if self.element is not None:
            error["element"] = self.element
        return {"Error": [error], "type": self.type}


def unknown_property(entity: str, name: str, known: list[str]) -> Fault:
    """2010: the body holds a property the entity does not know."""
    listed = ", ".join(f'"{each}"' for each in known[:60])
    detail = (
        f'Property Name:Unrecognized field "{name}" (class com.intuit.schema.finance.v3.{entity}), not marked as '
        f"ignorable ({len(known)} known properties: {listed} [truncated]])\n specified is unsupported or invalid"
    )
    return Fault("2010", "Request has invalid or unsupported property", detail)


def unreadable(why: str) -> Fault:
    """2010: the body is not the JSON the entity needs."""
    detail = f"Property Name:{why} specified is unsupported or invalid"
    return Fault("2010", "Request has invalid or unsupported property", detail)


def missing(name: str) -> Fault:
    """2020: a required property is absent."""
    message = "Required param missing, need to supply the required value for the API"
    return Fault("2020", message, f"Required parameter {name} is missing in the request", name)


def invalid_id(value: str) -> Fault:
    """2030: an Id that is not a number."""
    return Fault("2030", "Invalid ID", f"Id should be a valid number. Supplied value:{value}", "Id")


def invalid_string(name: str, value: str) -> Fault:
    """2040: characters that a name must not hold (colon, tab, newline)."""
    return Fault("2040", "Invalid String", f"Unsupported characters in {name}. Supplied value:{value}", name)


def too_long(name: str, length: int, limit: int) -> Fault:
    """2050: a text longer than its property allows."""
    detail = (
        "String length specified does not match the supported length. "
        f"Min:0 Max:{limit:,} supported. Supplied length:{length:,}"
    )
    return Fault("2050", "String length is either shorter or longer than supported by specification", detail, name)


def invalid_number(name: str, value: object) -> Fault:
    """2090: a number outside what the property supports."""
    return Fault("2090", "Invalid Number", f"The number is not supported. Supplied value:{value}", name)


def invalid_date(name: str, value: object) -> Fault:
    """2060: a text that is not a date, where one is needed."""
    return Fault("2060", "Invalid Date Format", f"Date should be in yyyy-MM-dd format. Supplied value:{value}", name)


def invalid_enumeration(name: str, value: object) -> Fault:
    """2170: a value outside the property's list."""
    return Fault("2170", "Invalid Enumeration", f"Invalid Enumeration. Supplied value:{value}", name)


def invalid_email(value: str) -> Fault:
    """2210: an e-mail address that is none."""
    detail = f"The email address does not conform to the syntax rules of RFC 822. Supplied value:{value}"
    return Fault("2210", "Invalid Email Address format", detail, "PrimaryEmailAddr")


def invalid_reference(entity: str, value: str, element: str = "") -> Fault:
    """2500: a reference to something that does not exist, or may not be used here."""
    return Fault(
        "2500", "Invalid Reference Id", f"Invalid Reference Id : {entity} element id {value} not found", element
    )


def category_on_transaction(value: str) -> Fault:
    """2500: a category was used as the item of a line."""
    detail = (
        f"Invalid Reference Id : Line.SalesItemLineDetail.ItemRef {value}: this item is set up as a category "
        "and cannot be used in a transaction."
    )
    return Fault("2500", "Invalid Reference Id", detail, "Line.SalesItemLineDetail.ItemRef")


def not_found() -> Fault:
    """610: the object does not exist (any more), or something it names was made inactive."""
    detail = (
        "Object Not Found : Something you're trying to use has been made inactive. "
        "Check the fields with accounts, customers, items, vendors or employees."
    )
    return Fault("610", "Object Not Found", detail, "")


def stale(person: str) -> Fault:
    """5010: the SyncToken is not the current one."""
    detail = (
        f"Stale Object Error : You and {person} were working on this at the same time. "
        f"{person} finished before you did, so your work was not saved."
    )
    return Fault("5010", "Stale Object Error", detail, "")


def business(detail: str) -> Fault:
    """6000: the catch-all of business rules."""
    message = "A business validation error has occurred while processing your request"
    return Fault("6000", message, f"Business Validation Error: {detail}", "")


def wrong_amount(value: object) -> Fault:
    """6070: the Amount of a line is not Qty x UnitPrice (or not the net of its tax inclusive amount)."""
    detail = f"Amount is not equal to UnitPrice * Qty. Supplied value:{value}"
    return Fault("6070", "Amount calculation incorrect in the request.", detail, "Line.Amount")


def denied(entity: str) -> Fault:
    """5020: the company's plan, or the user who connected it, has no right to this."""
    detail = "Permission Denied Error : You do not have the access rights to use this feature."
    return Fault("5020", "Permission Denied Error", detail, entity)


def wrong_cluster() -> Fault:
    """130: the company lives in the other environment than the address it was asked for at."""
    detail = (
        "WrongClusterError: -11017-You have accessed the wrong server. You will now be redirected. , statusCode: 401"
    )
    return Fault("130", "Accessing Wrong Cluster", detail, None, 401, "AuthenticationFault")


def nameless() -> Fault:
    """6080: a person without any part of a name."""
    detail = "At least one of Title, GivenName, MiddleName, FamilyName, DisplayName, Suffix must be supplied."
    return Fault("6080", "No Name Provided", detail, "DisplayName")


def duplicate_number(number: str, entity: str, txn_id: str) -> Fault:
    """6140: the company warns about a DocNumber that is in use."""
    detail = (
        "Duplicate Document Number Error : You must specify a different number. This number has already been used. "
        f"DocNumber={number} is assigned to TxnType={entity} with TxnId={txn_id}"
    )
    return Fault("6140", "Duplicate Document Number Error", detail, "")


def tax_not_applicable() -> Fault:
    """6170: TxnTaxDetail together with GlobalTaxCalculation NotApplicable."""
    detail = "TxnTaxDetail is not allowed when GlobalTaxCalculation is set to NotApplicable."
    return Fault("6170", "Invalid TxnTaxDetail Error", detail, "TxnTaxDetail")


def too_deep() -> Fault:
    """6180: more than five levels of nesting."""
    return Fault("6180", "Sub Level Limit", "You can nest up to 5 levels.", "ParentRef")


def company_closed() -> Fault:
    """6190: the company's subscription has ended."""
    detail = "Subscription period has ended or canceled or there was a billing problem : You can only view data."
    return Fault("6190", "Invalid Company Status", detail, "", 403)


def books_closed(day: str) -> Fault:
    """6210: the transaction's date lies in a closed period; `day` is the last closed day."""
    detail = (
        "The account period has closed and the account books cannot be updated through the QBO Services API. "
        f"Please use the QBO website to make these changes. Closing date:{day}"
    )
    return Fault("6210", "Account Period Closed, Cannot Update Through Services API", detail, "")


def duplicate_name() -> Fault:
    """6240: the name is taken by a customer, vendor, employee (or by another row of the same list)."""
    return Fault("6240", "Duplicate Name Exists Error", "The name supplied already exists. : null")


def before_stock_start(item: str, day: str) -> Fault:
    """6270: a transaction with an inventory item is dated before the item's stock was started."""
    detail = f"Transaction date is prior to start date for inventory item : {item} starts on {day}"
    return Fault("6270", "Transaction date is prior to start date for inventory item", detail, "TxnDate")


def wrong_account_type(element: str, kind: str) -> Fault:
    """6430: an account of a type that does not fit its use."""
    return Fault("6430", "Invalid account type used", f"Invalid account type: {kind}", element)


def unparsable_query(why: str) -> Fault:
    """4000: the statement is not in the query language."""
    return Fault("4000", "Error parsing query", f"QueryParserError: {why}")


def invalid_query(why: str) -> Fault:
    """4001: the statement names what cannot be queried."""
    return Fault("4001", "Invalid query", f"QueryValidationError: {why}")


def unsupported(what: str) -> Fault:
    """Code 500 (HTTP 400): the resource or operation does not exist."""
    return Fault("500", "Unsupported Operation", f"Operation {what} is not supported.")


def invalid_request_id(value: str, limit: int) -> Fault:
    """2130: a requestid that is too long."""
    detail = f"The request id is longer than {limit} characters. Supplied value:{value}"
    return Fault("2130", "Invalid Request Id Format", detail, "requestid")


def forbidden() -> Fault:
    """3100: the token is not for this company."""
    message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
    return Fault("3100", message, "The token is not authorized for this company.", None, 403, "AUTHORIZATION")


def throttled() -> Fault:
    """3001: too many requests (HTTP 429)."""
    message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    return Fault("3001", message, "The request limit was reached.", None, 429, "SERVICE")


def unreadable_record() -> Fault:
    """4002: change data capture meets a record that it cannot show."""
    return Fault("4002", "Invalid query", "Error while processing the changed entities", "")


def system_failure(status: int = 500) -> Fault:
    """10000: something broke on Intuit's side."""
    message = "An application error has occurred while processing your request"
    return Fault("10000", message, "System Failure Error: Internal error", "", status, "SystemFault")


def expired_token_body(now_ms: int) -> Json:
    """The body of a 401, in the lower-case shape that was recorded."""
    error = {
        "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
        "detail": "Token expired",
        "code": "3200",
        "element": None,
    }
    return {
        "warnings": None,
        "intuitObject": None,
        "fault": {"error": [error], "type": "AUTHENTICATION"},
        "report": None,
        "queryResponse": None,
        "batchItemResponse": [],
        "attachableResponse": [],
        "syncErrorResponse": None,
        "requestId": None,
        "time": now_ms,
        "status": None,
        "cdcresponse": [],
    }
