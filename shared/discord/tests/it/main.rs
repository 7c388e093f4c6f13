//! The client against peers that misbehave as proxies do when they die: what is asked where, and how often.

mod failover;
mod peer;
