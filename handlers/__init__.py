"""The use cases: one file per flow with its steps in order. Business rules only; no third-party library is used."""
