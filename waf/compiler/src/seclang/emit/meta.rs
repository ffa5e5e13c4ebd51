//! The directives that are not rules.

use picket_seclang::Variable;
use picket_seclang::format::{Meta, NONE16, Text, engine, switch};

use super::super::error::{Error, fit};
use super::super::syntax::{AuditMode, Directives, LimitAction};
use super::pool::Bytes;
use super::rules::{Pools, engine_number};
use crate::regex;

/// What the rest of the emission has found out.
pub(super) struct Facts {
    pub phases: [u32; 5],
    pub rules: usize,
    pub rule_words: usize,
    pub matcher_words: usize,
    pub silent: u32,
    pub body_rules: u32,
    pub keeps_body: bool,
    /// See [`Meta::signs`].
    pub signs: u64,
}

/// Limits where no file says anything: ModSecurity's.
const REQUEST_BODY_LIMIT: u64 = 134_217_728;
const REQUEST_BODY_NO_FILES_LIMIT: u64 = 1_048_576;
const RESPONSE_BODY_LIMIT: u64 = 524_288;
const JSON_DEPTH: u32 = 10_000;
const ARGUMENTS: u32 = 1_000;
const COLLECTION_TIMEOUT: u32 = 3_600;
const AUDIT_PARTS: &str = "ABCFHZ";

/// Whether a variable needs the request's body as it came.
pub(super) fn keeps(variable: u8) -> bool {
    matches!(
        Variable::from_u8(variable),
        Some(Variable::RequestBody | Variable::FullRequest | Variable::FilesTmpContent)
    )
}

/// The record.
pub(super) fn meta(directives: &Directives, facts: &Facts, pools: &mut Pools) -> Result<Meta, Error> {
    let mut switches = 0;
    let mut set = |condition: bool, bit: u32| switches |= if condition { bit } else { 0 };
    let partial = Some(LimitAction::ProcessPartial);
    set(directives.request_body_access == Some(true), switch::REQUEST_BODY);
    set(directives.response_body_access == Some(true), switch::RESPONSE_BODY);
    set(directives.request_body_limit_action == partial, switch::REQUEST_PARTIAL);
    set(directives.response_body_limit_action == partial, switch::RESPONSE_PARTIAL);
    set(directives.audit_engine == Some(AuditMode::On), switch::AUDIT_ALL);
    set(directives.audit_engine == Some(AuditMode::RelevantOnly), switch::AUDIT_RELEVANT);
    set(facts.keeps_body, switch::KEEPS_BODY);
    let bytes =
        |limit: Option<u64>, default: u64| u32::try_from(limit.unwrap_or(default)).unwrap_or(u32::MAX);
    let parts = directives.audit_log_parts.as_deref().unwrap_or(AUDIT_PARTS);
    let relevant_status = match directives.audit_log_relevant_status.as_deref() {
        // A pattern that is none counts as none: the parser has said so.
        Some(pattern) => match regex::compile(pattern, &regex::Options::default()) {
            Ok(compiled) => pools.data.add(&compiled.bytes)?,
            Err(_) => Text::default(),
        },
        None => Text::default(),
    };
    let words = |words: usize| fit("words of a set", words, u32::MAX as usize);
    Ok(Meta {
        phase1: facts.phases[0],
        phase2: facts.phases[1],
        phase3: facts.phases[2],
        phase4: facts.phases[3],
        phase5: facts.phases[4],
        rules: words(facts.rules)?,
        signs: facts.signs,
        rule_words: words(facts.rule_words)?,
        matcher_words: words(facts.matcher_words)?,
        silent: facts.silent,
        body_rules: facts.body_rules,
        engine: directives.rule_engine.map_or(engine::ON, engine_number),
        switches,
        request_body_limit: bytes(directives.request_body_limit, REQUEST_BODY_LIMIT),
        request_body_no_files_limit: bytes(
            directives.request_body_no_files_limit,
            REQUEST_BODY_NO_FILES_LIMIT,
        ),
        response_body_limit: bytes(directives.response_body_limit, RESPONSE_BODY_LIMIT),
        json_depth: directives.request_body_json_depth_limit.unwrap_or(JSON_DEPTH),
        arguments: directives.arguments_limit.unwrap_or(ARGUMENTS),
        separator: directives.argument_separator.unwrap_or(b'&'),
        audit_parts: parts
            .bytes()
            .filter(u8::is_ascii_uppercase)
            .fold(0, |bits, letter| bits | 1 << (letter - b'A')),
        web_app_id: pools.strings.add(directives.web_app_id.as_deref().unwrap_or_default().as_bytes())?,
        component: pools.strings.add(directives.component_signatures.join(", ").as_bytes())?,
        relevant_status,
        collection_timeout: directives.collection_timeout.unwrap_or(COLLECTION_TIMEOUT),
        tx_inbound: pools.tx.known(b"blocking_inbound_anomaly_score").unwrap_or(NONE16),
        tx_outbound: pools.tx.known(b"blocking_outbound_anomaly_score").unwrap_or(NONE16),
    })
}

/// Media types whose bodies are inspected.
pub(super) fn response_types(directives: &Directives, strings: &mut Bytes) -> Result<Vec<Text>, Error> {
    match &directives.response_body_mime_types {
        Some(types) => types.iter().map(|name| strings.add(name.to_ascii_lowercase().as_bytes())).collect(),
        None => ["text/plain", "text/html"].iter().map(|name| strings.add(name.as_bytes())).collect(),
    }
}
