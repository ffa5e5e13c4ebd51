//! The conformance cases: requests and what a filter must say to them, as data.
//!
//! ```toml
//! [[case]]
//! name = "sqli-union-plain"
//! request = { method = "GET", target = "/?id=1%20UNION%20SELECT%201", headers = [["Host", "a"]], body = "x=1" }
//! expect = { rules = [942100], blocked = true }
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// A request and what is expected of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// File the case stands in, without its extension.
    pub family: String,
    /// Name, unique over all files.
    pub name: String,
    /// Request.
    pub request: Request,
    /// What a filter must say.
    pub expect: Expectation,
}

/// The request of a [`Case`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Request target.
    pub target: Vec<u8>,
    /// Header fields in order, duplicates kept.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What a filter must say to a [`Case`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The exact set of rules that match.
    pub rules: Option<BTreeSet<u32>>,
    /// Rules that match, and perhaps others.
    #[serde(default)]
    pub contains: BTreeSet<u32>,
    /// Whether the request is answered by the filter.
    pub blocked: bool,
}

/// A case file that cannot be used: which file, which case, and what is wrong with it.
#[derive(Debug)]
pub struct CaseError {
    file: PathBuf,
    case: Option<String>,
    message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(case) = &self.case {
            write!(f, "case {case}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for CaseError {}

/// Reads all `*.toml` files of `folder`, sorted by name.
///
/// # Errors
/// [`CaseError`] for the first file or case that is wrong: an unknown key, a missing one, a name
/// that is used twice, a body that is given twice, an expectation that contradicts itself.
pub fn load_cases(folder: &Path) -> Result<Vec<Case>, CaseError> {
    let failed = |file: &Path, case: Option<&str>, message: String| CaseError {
        file: file.to_owned(),
        case: case.map(str::to_owned),
        message,
    };
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, None, error.to_string()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();

    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| failed(&file, None, error.to_string()))?;
        let parsed: RawFile =
            toml::from_str(&text).map_err(|error| failed(&file, None, error.to_string()))?;
        let family = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (number, table) in parsed.case.into_iter().enumerate() {
            // One case at a time, so that the error can say which.
            let name = match table.get("name").and_then(toml::Value::as_str) {
                Some(name) => name.to_owned(),
                None => return Err(failed(&file, Some(&format!("#{}", number + 1)), "no name".into())),
            };
            let case = check_case(table, &family)
                .and_then(|case| {
                    if names.insert(case.name.clone()) { Ok(case) } else { Err("name used twice".into()) }
                })
                .map_err(|message| failed(&file, Some(&name), message))?;
            cases.push(case);
        }
    }
    Ok(cases)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    case: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    request: RawRequest,
    expect: Expectation,
    #[serde(default, rename = "note")]
    _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    #[serde(default = "get")]
    method: String,
    target: Option<String>,
    target_base64: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    body_base64: String,
}

fn get() -> String {
    "GET".into()
}

fn check_case(table: toml::Table, family: &str) -> Result<Case, String> {
    let raw: RawCase = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let decode = |what: &str, text: &str| {
        STANDARD.decode(text).map_err(|error| format!("{what} is no base64: {error}"))
    };
    let RawRequest { method, target, target_base64, headers, body, body_base64 } = raw.request;
    let target = match (target, target_base64) {
        (Some(target), None) => target.into_bytes(),
        (None, Some(encoded)) => decode("target_base64", &encoded)?,
        _ => return Err("exactly one of target and target_base64 is needed".into()),
    };
    let body = match (body.is_empty(), body_base64.is_empty()) {
        (false, false) => return Err("both body and body_base64 are given".into()),
        (_, true) => body.into_bytes(),
        (true, false) => decode("body_base64", &body_base64)?,
    };
    let expect = raw.expect;
    if expect.rules.is_some() && !expect.contains.is_empty() {
        return Err("both rules and contains are expected".into());
    }
    if expect.rules.is_none() && expect.contains.is_empty() {
        return Err("neither rules nor contains is expected".into());
    }
    if expect.blocked && expect.rules.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err("blocked, but by no rule".into());
    }
    let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    Ok(Case {
        family: family.to_owned(),
        name: raw.name,
        request: Request { method, target, headers, body },
        expect,
    })
}

impl Expectation {
    /// What `rules` and `blocked` have against this expectation; `None` if nothing.
    pub fn contradiction(&self, rules: &BTreeSet<u32>, blocked: bool) -> Option<String> {
        let mut against = Vec::new();
        if let Some(expected) = &self.rules
            && expected != rules
        {
            against.push(format!("rules {rules:?} instead of {expected:?}"));
        }
        let missing: Vec<_> = self.contains.difference(rules).collect();
        if !missing.is_empty() {
            against.push(format!("rules {missing:?} are missing from {rules:?}"));
        }
        if self.blocked != blocked {
            against.push(format!("blocked is {blocked}"));
        }
        (!against.is_empty()).then(|| against.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Case, String> {
        check_case(toml::from_str(text).unwrap(), "family")
    }

    #[test]
    fn a_case_is_read() {
        let case = check(
            r#"name = "n"
            request = { method = "POST", target = "/é", headers = [["A", "b"], ["a", "c"]], body_base64 = "/w==" }
            expect = { contains = [1], blocked = false }"#,
        )
        .unwrap();
        assert_eq!(case.request.headers.len(), 2);
        assert_eq!(case.request.body, b"\xff");
        assert_eq!(case.expect.contradiction(&BTreeSet::from([1, 2]), false), None);
        assert_eq!(
            case.expect.contradiction(&BTreeSet::from([2]), true).unwrap(),
            "rules [1] are missing from {2}; blocked is true"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("name='n'\nrequest={target='/'}\nexpect={blocked=true}", "neither rules nor contains"),
            ("name='n'\nrequest={target='/'}\nexpect={blocked=true, rules=[]}", "blocked, but by no rule"),
            (
                "name='n'\nrequest={target='/', body='a', body_base64='YQ=='}\nexpect={blocked=false, rules=[]}",
                "both body",
            ),
            ("name='n'\nrequest={}\nexpect={blocked=false, rules=[]}", "exactly one of target"),
            ("name='n'\nrequest={target='/', uri='x'}\nexpect={blocked=false, rules=[]}", "uri"),
            ("name='n'\nrequest={target='/'}", "expect"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
