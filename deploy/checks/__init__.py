"""Checks of what is deployed: images, compose files, the Helm chart. ./dev deploy-check runs them."""
