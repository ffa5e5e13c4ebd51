//! An audit line in the shape of ModSecurity v3's JSON log, for the tools that read that.
//!
//! The keys are those of libmodsecurity's `Transaction::toJSON`. What a gateway without a ModSecurity
//! inside cannot say truly is left out (bodies) or says what it stands for (`producer`).

use http::{HeaderMap, Version};
use picket_abi::{Match, Octets};
use serde_json::{Map, Value, json};

use crate::layer::Summary;
use crate::logging::asctime;
use crate::observe::text;
use crate::rules::RulesInfo;

/// The tag of a match that carries the rule's expanded `logdata`.
const DATA: &[u8] = b"data=";

/// The line of a request. `rules` tells the ruleset of a filter, if it has one.
pub(crate) fn line<'r>(summary: &Summary<'_>, rules: impl Fn(&str) -> Option<&'r RulesInfo>) -> String {
    let messages: Vec<Value> =
        summary.report.matches().map(|(filter, found)| message(&found, rules(filter))).collect();
    let ruleset = summary.report.matches().find_map(|(filter, _)| rules(filter));
    let client = summary.client.map(|client| client.addr);
    let uri = summary.uri.path_and_query().map_or("", |target| target.as_str());
    let mut response = json!({ "http_code": summary.status });
    if let Some(headers) = summary.response_headers {
        response["headers"] = fields(headers);
    }
    let mut request = json!({
        "method": summary.method.as_str(),
        "http_version": version(summary.version),
        "uri": uri,
    });
    if let Some(headers) = summary.request_headers {
        request["headers"] = fields(headers);
    }
    json!({
        "transaction": {
            "client_ip": client.map_or(String::new(), |addr| addr.ip().to_canonical().to_string()),
            "time_stamp": asctime(),
            "server_id": summary.route,
            "client_port": client.map_or(0, |addr| addr.port()),
            "host_ip": summary.authority,
            "host_port": 0,
            "unique_id": summary.request_id.as_str(),
            "request": request,
            "response": response,
            "producer": {
                "modsecurity": "",
                "connector": concat!("picket v", env!("CARGO_PKG_VERSION")),
                "secrules_engine": ruleset.map_or("Enabled", |rules| rules.engine),
                "components": ruleset.map_or(&[][..], |rules| &rules.components),
            },
            "messages": messages,
        }
    })
    .to_string()
}

fn message(found: &Match<'_>, rules: Option<&RulesInfo>) -> Value {
    let facts = rules.and_then(|rules| rules.rule(found.rule_id)).cloned().unwrap_or_default();
    let tags: Vec<Octets<'_>> = found.tags.iter().collect();
    let data = tags.iter().find_map(|tag| tag.bytes().strip_prefix(DATA)).map(Octets).unwrap_or_default();
    let tags = tags.iter().filter(|tag| !tag.bytes().starts_with(DATA)).map(|&tag| text(tag));
    // ModSecurity writes every number as a string here.
    json!({
        "message": text(found.message),
        "details": {
            "match": format!(
                "Matched \"{}\" at {}",
                found.matched.bytes().escape_ascii(),
                found.location.bytes().escape_ascii()
            ),
            "reference": "",
            "ruleId": found.rule_id.to_string(),
            "file": facts.file,
            "lineNumber": facts.line.to_string(),
            "data": text(data),
            "severity": facts.severity.unwrap_or_default().to_string(),
            "ver": facts.version,
            "rev": facts.revision,
            "tags": tags.collect::<Vec<_>>(),
            "maturity": facts.maturity.to_string(),
            "accuracy": facts.accuracy.to_string(),
        }
    })
}

/// Header fields as an object; the values of fields of one name in a list.
fn fields(headers: &HeaderMap) -> Value {
    let mut object = Map::new();
    for name in headers.keys() {
        let mut values: Vec<Value> =
            headers.get_all(name).iter().map(|value| text(Octets(value.as_bytes()))).collect();
        let value = if values.len() == 1 { values.remove(0) } else { values.into() };
        object.insert(name.as_str().to_owned(), value);
    }
    Value::Object(object)
}

fn version(version: Version) -> f32 {
    match version {
        Version::HTTP_09 => 0.9,
        Version::HTTP_10 => 1.0,
        Version::HTTP_2 => 2.0,
        Version::HTTP_3 => 3.0,
        _ => 1.1,
    }
}
