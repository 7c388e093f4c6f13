package acme

helper := 1
