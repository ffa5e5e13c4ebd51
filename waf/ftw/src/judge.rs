//! What was logged against what was expected.

use regex_automata::meta::Regex;
use serde::Serialize;

use crate::{Observed, Output, log_line};

/// How a test, or one stage of it, came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything expected came to pass.
    Pass,
    /// Something did not; the text says what.
    Fail(String),
    /// What is expected cannot be seen here; the text says what it would take.
    NotJudged(String),
}

/// Judges what an engine did with one exchange.
///
/// Only the log is looked at, as there is no server: a status that is expected beside rule ids is
/// ignored, a status alone is not judged. An expected connection error passes when it comes to pass
/// ([`Observed::error`]), and by its rule ids if it has any.
pub fn judge(expected: &Output, observed: &Observed) -> Outcome {
    let log = &expected.log;
    if expected.expect_error == Some(true) && observed.error.is_some() {
        return Outcome::Pass;
    }
    let older = expected.log_contains.is_some() || expected.no_log_contains.is_some();
    if log.is_empty() && !older {
        return match (expected.expect_error, expected.status, &expected.response_contains) {
            (Some(true), ..) => not_judged("expects a connection error of the server"),
            (_, Some(status), _) => not_judged(&format!("expects the server to answer {status}")),
            (.., Some(_)) => not_judged("expects a text in the server's answer"),
            _ => not_judged("expects nothing"),
        };
    }
    match failure(expected, observed) {
        Ok(None) => Outcome::Pass,
        Ok(Some(reason)) => Outcome::Fail(reason),
        Err(reason) => Outcome::NotJudged(reason),
    }
}

fn not_judged(reason: &str) -> Outcome {
    Outcome::NotJudged(reason.to_owned())
}

/// The first expectation that does not hold; an error if it cannot be told.
fn failure(expected: &Output, observed: &Observed) -> Result<Option<String>, String> {
    let log = &expected.log;
    let logged = |id: &u32| observed.rules.iter().any(|rule| rule.id == *id);
    let missing: Vec<u32> = log.expect_ids.iter().copied().filter(|id| !logged(id)).collect();
    if !missing.is_empty() {
        return Ok(Some(format!("not logged: {}", join(&missing))));
    }
    let unwanted: Vec<u32> = log.no_expect_ids.iter().copied().filter(logged).collect();
    if !unwanted.is_empty() {
        return Ok(Some(format!("logged: {}", join(&unwanted))));
    }
    let patterns = [
        (&log.match_regex, true),
        (&expected.log_contains, true),
        (&log.no_match_regex, false),
        (&expected.no_log_contains, false),
    ];
    for (pattern, wanted) in patterns {
        let Some(pattern) = pattern else { continue };
        match (matching_line(pattern, observed)?, wanted) {
            (None, true) => return Ok(Some(format!("no line matches `{pattern}`"))),
            (Some(line), false) => return Ok(Some(format!("a line matches `{pattern}`: {line}"))),
            _ => {}
        }
    }
    let mut ids: Vec<u32> = observed.rules.iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    ids.dedup();
    if expected.isolated && ids.len() != 1 {
        return Ok(Some(format!("not alone: {}", join(&ids))));
    }
    Ok(None)
}

fn matching_line(pattern: &str, observed: &Observed) -> Result<Option<String>, String> {
    let regex = Regex::new(pattern).map_err(|e| format!("expression `{pattern}` does not compile: {e}"))?;
    Ok(observed.rules.iter().map(log_line).find(|line| regex.is_match(line)))
}

fn join(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Log, LoggedRule};

    fn observed(ids: &[u32]) -> Observed {
        let rule = |&id| LoggedRule { id, msg: format!("rule {id}"), ..LoggedRule::default() };
        Observed { rules: ids.iter().map(rule).collect(), ..Observed::default() }
    }

    fn expecting(log: Log) -> Output {
        Output { log, ..Output::default() }
    }

    #[test]
    fn ids_must_be_there_and_others_must_not() {
        let output = expecting(Log { expect_ids: vec![1, 2], no_expect_ids: vec![3], ..Log::default() });
        assert_eq!(judge(&output, &observed(&[2, 1, 9])), Outcome::Pass);
        assert_eq!(judge(&output, &observed(&[1])), Outcome::Fail("not logged: 2".into()));
        assert_eq!(judge(&output, &observed(&[1, 2, 3])), Outcome::Fail("logged: 3".into()));
    }

    #[test]
    fn lines_are_searched() {
        let wanted = expecting(Log { match_regex: Some(r#"\[msg "rule 7"#.into()), ..Log::default() });
        assert_eq!(judge(&wanted, &observed(&[7])), Outcome::Pass);
        assert!(matches!(judge(&wanted, &observed(&[8])), Outcome::Fail(_)));
        let silent = expecting(Log { no_match_regex: Some(r#"\[id "\d+"\]"#.into()), ..Log::default() });
        assert_eq!(judge(&silent, &observed(&[])), Outcome::Pass);
        assert!(matches!(judge(&silent, &observed(&[7])), Outcome::Fail(_)));
        let broken = expecting(Log { match_regex: Some("(".into()), ..Log::default() });
        assert!(matches!(judge(&broken, &observed(&[])), Outcome::NotJudged(_)));
    }

    #[test]
    fn a_servers_answer_cannot_be_judged() {
        let status = Output { status: Some(400), ..Output::default() };
        assert!(
            matches!(judge(&status, &observed(&[])), Outcome::NotJudged(reason) if reason.contains("400"))
        );
        let both = Output { log: Log { expect_ids: vec![1], ..Log::default() }, ..status };
        assert!(matches!(judge(&both, &observed(&[])), Outcome::Fail(_)));
        let error = Output { expect_error: Some(true), ..both };
        assert_eq!(judge(&error, &observed(&[1])), Outcome::Pass);
        assert!(matches!(judge(&error, &observed(&[])), Outcome::Fail(_)));
        let closed = Observed { error: Some("closed".into()), ..Observed::default() };
        assert_eq!(judge(&error, &closed), Outcome::Pass);
    }

    #[test]
    fn isolated_means_alone() {
        let output = Output { isolated: true, ..expecting(Log { expect_ids: vec![1], ..Log::default() }) };
        assert_eq!(judge(&output, &observed(&[1, 1])), Outcome::Pass);
        assert!(matches!(judge(&output, &observed(&[1, 2])), Outcome::Fail(_)));
    }
}
