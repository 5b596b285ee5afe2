"""The connector of the till: MplusKASSA's SOAP API and session webhooks, as the shared records."""
