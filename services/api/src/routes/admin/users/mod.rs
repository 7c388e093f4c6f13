//! Users: identities with their wallets and their history.
