//! Hostile and broken modules, each over every backend: the exact error it must end in, and that the
//! host serves the next request afterwards.

mod answers;
mod bytes;
mod execution;
mod failure_policy;
mod lifetime;
mod loading;
mod metering;
mod stage;
