//! Whole files: chains, inheritance, updates, includes, and all of the OWASP CRS.

mod corpus;
mod files;
mod garbage;
mod rules;
mod updates;

use super::*;

fn parse(text: &str) -> Configuration {
    parse_str("t.conf", text).unwrap()
}

/// Parses what must be all right.
fn clean(text: &str) -> Configuration {
    let configuration = parse(text);
    assert_eq!(said(&configuration), Vec::<String>::new());
    configuration
}

/// What the diagnostics say, one line each.
fn said(configuration: &Configuration) -> Vec<String> {
    configuration.diagnostics.iter().map(ToString::to_string).collect()
}

fn ids(configuration: &Configuration) -> Vec<u32> {
    configuration.rules().map(|rule| rule.id).collect()
}

fn rule(configuration: &Configuration, id: u32) -> &Rule {
    configuration.rules().find(|rule| rule.id == id).unwrap()
}
