//! The OWASP CRS, from where `CRS_DIR` says or the folder beside the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

fn folder() -> Option<PathBuf> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/crs"));
    let folder = std::env::var_os("CRS_DIR").map_or_else(beside, PathBuf::from);
    folder.join("rules").is_dir().then_some(folder)
}

fn load() -> Option<Configuration> {
    let Some(folder) = folder() else {
        println!("skipped: no CRS at CRS_DIR");
        return None;
    };
    let paths = [folder.join("crs-setup.conf.example"), folder.join("rules/*.conf")];
    Some(parse_files(&paths, &FileSystem).unwrap())
}

fn count<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

#[test]
fn all_of_it_is_understood() {
    let Some(configuration) = load() else { return };
    assert_eq!(said(&configuration), Vec::<String>::new());
    let setup = |rule: &&Rule| rule.head().place.file.ends_with("crs-setup.conf.example");
    assert_eq!(configuration.rules().filter(setup).count(), 1);
    assert_eq!(configuration.rules().filter(|rule| !setup(rule)).count(), 629);
    assert_eq!(configuration.rules().map(|rule| rule.links.len() - 1).sum::<usize>(), 73);
    assert_eq!(configuration.rules().map(|rule| rule.links.len()).max(), Some(5));
    assert_eq!(configuration.items.len() - configuration.rules().count(), 30);
    let (data, rules): (Vec<_>, Vec<_>) = configuration.files.iter().partition(|file| file.is_data);
    assert_eq!((rules.len(), data.len()), (28, 19));
    let signatures = &configuration.directives.component_signatures;
    assert!(signatures[0].starts_with("OWASP_CRS/4."), "{signatures:?}");
}

#[test]
fn it_has_the_operators_that_are_known() {
    let Some(configuration) = load() else { return };
    let links = || configuration.rules().flat_map(|rule| &rule.links);
    let operators = count(links().filter_map(|link| link.operator.as_ref()).map(|it| it.kind.name()));
    let expected = [
        ("beginsWith", 1),
        ("contains", 4),
        ("detectSQLi", 2),
        ("detectXSS", 2),
        ("endsWith", 6),
        ("eq", 53),
        ("ge", 42),
        ("gt", 15),
        ("ipMatch", 2),
        ("lt", 190),
        ("pm", 12),
        ("pmFromFile", 21),
        ("rx", 318),
        ("streq", 9),
        ("unconditionalMatch", 1),
        ("validateByteRange", 6),
        ("validateUrlEncoding", 1),
        ("validateUtf8Encoding", 1),
        ("within", 9),
    ];
    assert_eq!(operators, BTreeMap::from(expected));
    assert_eq!(links().filter(|link| link.operator.is_none()).count(), 8);
    let phrases: usize = links()
        .filter_map(|link| link.operator.as_ref())
        .filter(|operator| matches!(operator.kind, OperatorKind::Pm | OperatorKind::PmFromFile))
        .map(|operator| operator.phrases().len())
        .inspect(|count| assert!(*count > 0))
        .sum();
    assert!(phrases > 5000, "{phrases}");
}

#[test]
fn it_has_the_transformations_that_are_known() {
    let Some(configuration) = load() else { return };
    let links = configuration.rules().flat_map(|rule| &rule.links);
    let transformations = count(links.flat_map(|link| link.transformations.iter().map(String::as_str)));
    let expected = [
        ("base64Decode", 3),
        ("cmdLine", 13),
        ("compressWhitespace", 5),
        ("cssDecode", 23),
        ("escapeSeqDecode", 7),
        ("hexEncode", 2),
        ("htmlEntityDecode", 35),
        ("jsDecode", 37),
        ("length", 3),
        ("lowercase", 46),
        ("normalizePath", 8),
        ("normalizePathWin", 4),
        ("removeCommentsChar", 1),
        ("removeNulls", 27),
        ("removeWhitespace", 11),
        ("replaceComments", 9),
        ("sha1", 2),
        ("urlDecodeUni", 140),
        ("utf8toUnicode", 32),
    ];
    assert_eq!(transformations, BTreeMap::from(expected));
}

#[test]
fn it_has_the_actions_that_are_known() {
    let Some(configuration) = load() else { return };
    let links = || configuration.rules().flat_map(|rule| &rule.links);
    let kinds = count(links().flat_map(|link| &link.actions).map(|action| match action {
        Action::SetVar { operation: SetOperation::Add(_), .. } => "setvar, added",
        Action::SetVar { .. } => "setvar",
        Action::OpenCollection { .. } => "initcol",
        Action::Control(_) => "ctl",
        Action::ExpireVar { .. } | Action::SetEnv { .. } => "other",
    }));
    assert_eq!(kinds, BTreeMap::from([("setvar", 73), ("setvar, added", 611), ("initcol", 2), ("ctl", 10)]));
    assert_eq!(links().filter(|link| link.capture).count(), 279);
    assert_eq!(links().filter(|link| link.multi_match).count(), 8);
    assert_eq!(configuration.rules().filter(|rule| rule.skip_after.is_some()).count(), 206);
    // The evaluation deny, early in phases 1 and 3 too; all others leave it to the score.
    let denying = configuration.rules().filter(|rule| rule.disruption == Disruption::Deny);
    let denying: Vec<_> = denying.map(|rule| (rule.phase.number(), rule.id)).collect();
    assert!(denying.contains(&(2, 949110)) && denying.contains(&(4, 959100)), "{denying:?}");
    assert_eq!(denying.len(), 6);
    let excluded = |link: &&Link| link.targets.iter().any(|target| target.mode == TargetMode::Exclude);
    assert!(links().filter(excluded).count() > 20, "the exclusions at the end are applied");
}
