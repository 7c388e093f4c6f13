//! Single decisions, each with its reason.
