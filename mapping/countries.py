"""Country names as people write them, as ISO 3166 alpha-3 codes."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {
    "NLD": ("NL", "Nederland", "Netherlands", "The Netherlands", "Niederlande", "Pays-Bas", "Holland"),
    "BEL": ("BE", "België", "Belgie", "Belgium", "Belgien", "Belgique"),
    "DEU": ("DE", "Duitsland", "Germany", "Deutschland", "Allemagne"),
    "LUX": ("LU", "Luxemburg", "Luxembourg"),
    "FRA": ("FR", "Frankrijk", "France", "Frankreich"),
    "GBR": ("GB", "UK", "Verenigd Koninkrijk", "Groot-Brittannië", "United Kingdom", "Great Britain", "Engeland"),
    "IRL": ("IE", "Ierland", "Ireland", "Irland"),
    "ESP": ("ES", "Spanje", "Spain", "Spanien", "España"),
    "PRT": ("PT", "Portugal"),
    "ITA": ("IT", "Italië", "Italie", "Italy", "Italien", "Italia"),
    "AUT": ("AT", "Oostenrijk", "Austria", "Österreich"),
    "CHE": ("CH", "Zwitserland", "Switzerland", "Schweiz", "Suisse"),
    "DNK": ("DK", "Denemarken", "Denmark", "Dänemark", "Danmark"),
    "SWE": ("SE", "Zweden", "Sweden", "Schweden", "Sverige"),
    "NOR": ("NO", "Noorwegen", "Norway", "Norwegen", "Norge"),
    "FIN": ("FI", "Finland", "Finnland", "Suomi"),
    "POL": ("PL", "Polen", "Poland", "Polska"),
    "CZE": ("CZ", "Tsjechië", "Czechia", "Czech Republic", "Tschechien"),
    "SVK": ("SK", "Slowakije", "Slovakia", "Slowakei"),
    "HUN": ("HU", "Hongarije", "Hungary", "Ungarn"),
    "ROU": ("RO", "Roemenië", "Romania", "Rumänien"),
    "BGR": ("BG", "Bulgarije", "Bulgaria", "Bulgarien"),
    "HRV": ("HR", "Kroatië", "Croatia", "Kroatien"),
    "SVN": ("SI", "Slovenië", "Slovenia", "Slowenien"),
    "GRC": ("GR", "EL", "Griekenland", "Greece", "Griechenland"),
    "EST": ("EE", "Estland", "Estonia"),
    "LVA": ("LV", "Letland", "Latvia", "Lettland"),
    "LTU": ("LT", "Litouwen", "Lithuania", "Litauen"),
    "MLT": ("MT", "Malta"),
    "CYP": ("CY", "Cyprus", "Zypern"),
    "USA": ("US", "Verenigde Staten", "United States", "United States of America"),
    "SUR": ("SR", "Suriname"),
    "ABW": ("AW", "Aruba"),
    "CUW": ("CW", "Curaçao", "Curacao"),
    "TUR": ("TR", "Turkije", "Turkey", "Türkei"),
    "CHN": ("CN", "China"),
}
_ISO3 = {name.casefold(): code for code, names in _NAMES.items() for name in (code, *names)}


def to_iso3(country: str | None, table: Mapping[str, str] | None = None) -> str | None:
    """The alpha-3 code of a country as written; the table takes precedence; an unknown name is returned unchanged."""
    written = " ".join((country or "").split())
    if not written:
        return None
    own = {name.casefold(): code for name, code in (table or {}).items()}
    return own.get(written.casefold()) or _ISO3.get(written.casefold()) or written[:100]
