# The name of the bucket follows from the account: there is nothing to set.
