//! Directives that are settings: bodies, logs, limits.

use super::ast::{Directives, LimitAction};
use super::control::{audit_mode, engine_mode, parse_number, parse_parts, switch};
use super::pattern::ascii_pattern;

/// What became of a directive.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// It is among the settings.
    Taken,
    /// It has no effect here, and why.
    NoEffect(&'static str),
    /// Its arguments are not understood.
    Wrong(String),
    /// No such directive.
    Unknown,
}

const OWN_LOG: &str = "logs are set up in picket.toml";
const NO_FILES: &str = "uploads are looked at in memory and never stored";
const NO_TEMP: &str = "nothing is written to disk";
const NO_PCRE: &str = "matching is linear and needs no limit";
const NO_DATABASE: &str = "there is no such database";
const NO_HASHES: &str = "responses are not signed";
const NO_CONNECTIONS: &str = "connections are limited in picket.toml";
const NO_NETWORK: &str = "rules ask nobody";

/// Directives without effect, in lower case, and why.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("secauditlog2", OWN_LOG),
    ("secauditlogdirmode", OWN_LOG),
    ("secauditlogfilemode", OWN_LOG),
    ("secauditlogformat", OWN_LOG),
    ("secauditlogprefix", OWN_LOG),
    ("secauditlogstoragedir", OWN_LOG),
    ("secauditlogtype", OWN_LOG),
    ("secdebuglog", OWN_LOG),
    ("secdebugloglevel", OWN_LOG),
    ("secguardianlog", OWN_LOG),
    ("secrequestbodyinmemorylimit", NO_TEMP),
    ("sectmpdir", NO_TEMP),
    ("secdatadir", "kept variables live in the gateway's store"),
    ("sectmpsaveuploadedfiles", NO_FILES),
    ("secuploaddir", NO_FILES),
    ("secuploadfilemode", NO_FILES),
    ("secuploadkeepfiles", NO_FILES),
    ("secpcrematchlimit", NO_PCRE),
    ("secpcrematchlimitrecursion", NO_PCRE),
    ("secgeolookupdb", NO_DATABASE),
    ("secgsblookupdb", NO_DATABASE),
    ("sechttpblkey", NO_NETWORK),
    ("secunicodemapfile", "code points are mapped to their ASCII look-alikes by a table of our own"),
    ("secunicodecodepage", "code points are mapped to their ASCII look-alikes by a table of our own"),
    ("secstatusengine", "nobody is told about this installation"),
    ("secserversignature", "the gateway's own answers name no server"),
    ("secsensorid", "logs name the gateway"),
    ("secchrootdir", "the filter is in a sandbox anyway"),
    ("seccontentinjection", "a rule cannot change a body"),
    ("secstreaminbodyinspection", "bodies are looked at as they are kept"),
    ("secstreamoutbodyinspection", "bodies are looked at as they are kept"),
    ("secrulescript", "a rule cannot run a program"),
    ("secruleinheritance", "there is one list of rules a filter"),
    ("secruleperftime", "`picket bench` measures"),
    ("secinterceptonerror", "a fault has the filter's `on_failure` as its consequence"),
    ("secdisablebackendcompression", "see `Accept-Encoding` in picket.toml"),
    ("seccachetransformations", "transformed values are always shared"),
    ("seccookiev0separator", "cookies are separated by semicolons"),
    ("secxmlexternalentity", "external entities are never read"),
    ("secparsexmlintoargs", "XML is not put among the arguments"),
    ("secconnengine", NO_CONNECTIONS),
    ("secconnreadstatelimit", NO_CONNECTIONS),
    ("secconnwritestatelimit", NO_CONNECTIONS),
    ("secreadstatelimit", NO_CONNECTIONS),
    ("secwritestatelimit", NO_CONNECTIONS),
    ("sechashengine", NO_HASHES),
    ("sechashkey", NO_HASHES),
    ("sechashparam", NO_HASHES),
    ("sechashmethodrx", NO_HASHES),
    ("sechashmethodpm", NO_HASHES),
    ("secencryptionengine", NO_HASHES),
    ("secremoterules", "rules are read from files only"),
    ("secremoterulesfailaction", "rules are read from files only"),
];

/// Most media types of responses.
const MAX_TYPES: usize = 1024;

/// Sets what a directive says.
pub(super) fn apply(directives: &mut Directives, name: &str, arguments: &[Vec<u8>]) -> Setting {
    let lower = name.to_ascii_lowercase();
    if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == lower) {
        return Setting::NoEffect(why);
    }
    let values =
        || arguments.iter().flat_map(|it| it.split(u8::is_ascii_whitespace)).filter(|it| !it.is_empty());
    match lower.as_str() {
        "secresponsebodymimetypesclear" => {
            directives.response_body_mime_types = Some(Vec::new());
            return Setting::Taken;
        }
        "secresponsebodymimetype" => {
            let types = directives.response_body_mime_types.get_or_insert_default();
            for value in values() {
                let value = String::from_utf8_lossy(value).to_ascii_lowercase();
                if types.len() >= MAX_TYPES {
                    return Setting::Wrong(format!("{name}: more than {MAX_TYPES} media types"));
                }
                if !types.contains(&value) {
                    types.push(value);
                }
            }
            return Setting::Taken;
        }
        "secauditlogrelevantstatus" => {
            directives.audit_log_relevant_status = arguments.first().map(|it| ascii_pattern(it));
            return Setting::Taken;
        }
        _ => {}
    }
    let value = arguments.first().map(|it| it.trim_ascii()).unwrap_or_default();
    let text = || String::from_utf8_lossy(value).into_owned();
    let count = || parse_number(value).and_then(|number| u32::try_from(number).ok());
    let taken = match lower.as_str() {
        "secruleengine" => set(&mut directives.rule_engine, engine_mode(value)),
        "secrequestbodyaccess" => set(&mut directives.request_body_access, switch(value)),
        "secrequestbodylimit" => set(&mut directives.request_body_limit, parse_number(value)),
        "secrequestbodynofileslimit" => set(&mut directives.request_body_no_files_limit, parse_number(value)),
        "secrequestbodylimitaction" => set(&mut directives.request_body_limit_action, limit_action(value)),
        "secrequestbodyjsondepthlimit" => set(&mut directives.request_body_json_depth_limit, count()),
        "secargumentslimit" => set(&mut directives.arguments_limit, count()),
        "secuploadfilelimit" => set(&mut directives.upload_file_limit, count()),
        "secresponsebodyaccess" => set(&mut directives.response_body_access, switch(value)),
        "secresponsebodylimit" => set(&mut directives.response_body_limit, parse_number(value)),
        "secresponsebodylimitaction" => set(&mut directives.response_body_limit_action, limit_action(value)),
        "secauditengine" => set(&mut directives.audit_engine, audit_mode(value)),
        "secauditlog" => set(&mut directives.audit_log, (!value.is_empty()).then(text)),
        "secauditlogparts" => set(&mut directives.audit_log_parts, parse_parts(value)),
        "secargumentseparator" => {
            set(&mut directives.argument_separator, value.first().copied().filter(|_| value.len() == 1))
        }
        "seccookieformat" => match value {
            b"0" => return Setting::Taken,
            b"1" => return Setting::NoEffect("cookies are read as browsers send them (format 0)"),
            _ => false,
        },
        "seccollectiontimeout" => set(&mut directives.collection_timeout, count()),
        "secwebappid" => set(&mut directives.web_app_id, (!value.is_empty()).then(text)),
        "seccomponentsignature" if !value.is_empty() => {
            directives.component_signatures.push(text());
            true
        }
        "seccomponentsignature" => false,
        _ => return Setting::Unknown,
    };
    match taken {
        true => Setting::Taken,
        false => Setting::Wrong(format!("{name} does not take {:?}", text())),
    }
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    let taken = value.is_some();
    if taken {
        *place = value;
    }
    taken
}

fn limit_action(value: &[u8]) -> Option<LimitAction> {
    match value.to_ascii_lowercase().as_slice() {
        b"reject" => Some(LimitAction::Reject),
        b"processpartial" => Some(LimitAction::ProcessPartial),
        _ => None,
    }
}
