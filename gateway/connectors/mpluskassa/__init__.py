"""The connector of the till: MplusKASSA's SOAP API and session webhooks, spoken in the shared records."""
