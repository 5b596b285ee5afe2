"""The people of the demo shop: customers of the till, and who the books know already; all of them invented."""

from __future__ import annotations

from typing import Any

Fields = dict[str, Any]


def _person(number: int, name: str, email: str, street: str, place: str) -> Fields:
    zipcode, city = place[:7], place[8:]
    address = {"address": street, "zipcode": zipcode, "city": city, "country": "Nederland"}
    return {"relationNumber": number, "name": name, "email": email, **address}


def _company(number: int, name: str, contact: str, email: str, street: str, place: str) -> Fields:
    return {**_person(number, name, email, street, place), "companyName": name, "contact": contact}


RELATIONS: tuple[Fields, ...] = (
    _person(1001, "Marloes van Dijk", "marloes.vandijk@post.example", "Twijnstraat 14", "3511 ZK Utrecht"),
    _person(1002, "Jan-Willem de Groot", "jw.degroot@post.example", "Oudegracht 221", "3511 NH Utrecht"),
    _person(1003, "Fatima El Amrani", "fatima.elamrani@brief.example", "Kanaalstraat 88", "3531 CL Utrecht"),
    _person(1004, "Renée Koning", "renee.koning@brief.example", "Langestraat 5", "3811 AA Amersfoort"),
    _person(1005, "Özlem Yıldız", "ozlem@post.example", "Leusderweg 130", "3817 KC Amersfoort"),
    _person(1006, "Kees Bakker", "", "Hof 2", "3811 CJ Amersfoort"),
    _company(
        1101, "Notariskantoor Vermeer", "Ilse Vermeer", "kantoor@vermeer.example", "Maliebaan 40", "3581 CR Utrecht"
    ),
    _company(1102, "Eetcafé De Zwaan", "Tom Peters", "inkoop@dezwaan.example", "Appelmarkt 9", "3811 CE Amersfoort"),
    _company(
        1103, "Basisschool Het Palet", "Anja Smit", "administratie@palet.example", "Dorpsweg 3", "3738 CA Maartensdijk"
    ),
    {
        **_company(
            1104, "Käsehaus Lindner GmbH", "Petra Lindner", "einkauf@lindner.example", "Marktgasse 7", "48143   Münster"
        ),
        "zipcode": "48143",
        "city": "Münster",
        "country": "Duitsland",
        "vatNumber": "DE123456789",
    },
)
"""What stands on the cards of the till's customers: persons, one of them without e-mail; companies, one foreign."""


def _party(name: str, email: str, **more: Any) -> Fields:
    return {"DisplayName": name, "PrimaryEmailAddr": {"Address": email}, **more}


CUSTOMERS: tuple[Fields, ...] = (
    _party("Marloes van Dijk", "Marloes.vanDijk@post.example", GivenName="Marloes", FamilyName="van Dijk"),
    _party("Notariskantoor Vermeer", "kantoor@vermeer.example", CompanyName="Notariskantoor Vermeer"),
)
"""Customers the books have before the till tells of them: the same people, an address written with capitals."""

VENDORS: tuple[Fields, ...] = (
    _party("Kaasboerderij De Hoeve", "verkoop@dehoeve.example", CompanyName="Kaasboerderij De Hoeve"),
    _party("Eetcafé De Zwaan", "info@dezwaan.example", CompanyName="Eetcafé De Zwaan"),
)
"""Suppliers; one of them is a customer too, by the same name."""

EMPLOYEES: tuple[tuple[int, str], ...] = ((1, "Anna de Vries"), (2, "Bram Jansen"))
"""Who rings up sales: numbers and names as a new installation of the till has them."""
