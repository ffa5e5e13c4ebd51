//! Includes, data files, limits.

use std::path::PathBuf;

use super::*;

fn read(files: &Memory) -> Configuration {
    parse_files(&[PathBuf::from("etc/main.conf")], files).unwrap()
}

const ONE: &str = "SecAction \"id:1,pass\"\n";

#[test]
fn includes_are_relative_sorted_and_in_place() {
    let files = Memory::new()
        .with("etc/main.conf", "SecAction \"id:10,pass\"\nInclude rules/*.conf\nSecAction \"id:20,pass\"")
        .with("etc/rules/b.conf", "SecAction \"id:12,pass\"\n")
        .with("etc/rules/a.conf", "Include \"../other/c.conf\"\n")
        .with("etc/other/c.conf", "\nSecAction \"id:11,pass\"\n");
    let configuration = read(&files);
    assert_eq!(ids(&configuration), [10, 11, 12, 20]);
    assert_eq!(said(&configuration), Vec::<String>::new());
    assert_eq!(rule(&configuration, 11).head().place.to_string(), "etc/other/c.conf:2");
    let paths: Vec<_> = configuration.files.iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!(paths, ["etc/main.conf", "etc/rules/a.conf", "etc/other/c.conf", "etc/rules/b.conf"]);
    assert_ne!(configuration.files[1].sha256, configuration.files[2].sha256);
}

#[test]
fn an_include_of_nothing_is_an_error_unless_optional() {
    let files =
        Memory::new().with("etc/main.conf", "Include a.conf\nInclude x/*.conf\nIncludeOptional b.conf\n");
    let said = said(&read(&files));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("etc/main.conf:1: error: etc/a.conf cannot be read"));
    assert_eq!(said[1], "etc/main.conf:2: error: Include x/*.conf: no file fits");
}

#[test]
fn includes_end() {
    let files = Memory::new().with("etc/main.conf", format!("Include *.conf\n{ONE}"));
    let configuration = read(&files);
    assert_eq!(said(&configuration), ["etc/main.conf:1: error: etc/main.conf includes itself"]);
    assert_eq!(ids(&configuration), [1]);

    let mut files = Memory::new().with("etc/main.conf", "Include 1.conf");
    for depth in 1..=MAX_DEPTH {
        files = files.with(format!("etc/{depth}.conf"), format!("Include {}.conf", depth + 1));
    }
    let error = parse_files(&["etc/main.conf".into()], &files).unwrap_err();
    assert_eq!(error.to_string(), "etc/15.conf:1: more than 16 levels of Include");
}

#[test]
fn files_that_are_asked_for_must_be_there() {
    let error = parse_files(&["nowhere.conf".into()], &FileSystem).unwrap_err();
    assert!(error.to_string().starts_with("nowhere.conf: cannot be read"));
    assert!(parse_files(&["nowhere/*.conf".into()], &Memory::new()).is_err());
}

#[test]
fn data_files_lie_beside_the_rules_that_name_them() {
    let rules = "SecRule ARGS \"@pmFromFile w.data\" \"id:1,pass\"\nSecRule ARGS \"!@pmf w.data\" \"id:2,pass\"\n\
                 SecRule REMOTE_ADDR \"@ipMatchFromFile ../a.data\" \"id:3,pass\"\n\
                 SecRule ARGS \"@pmFromFile none.data\" \"id:4,pass\"\n\
                 SecRule ARGS \"@pmFromFile https://x.example/\" \"id:5,pass\"\n";
    let files = Memory::new()
        .with("etc/main.conf", "Include r/x.conf")
        .with("etc/r/x.conf", rules)
        .with("etc/r/w.data", b"# words\none\n\xffbyte\r\n".as_slice())
        .with("etc/a.data", "10.0.0.0/8\n::1\n");
    let configuration = read(&files);
    assert_eq!(ids(&configuration), [1, 2, 3]);
    let operator = |id| rule(&configuration, id).head().operator.clone().unwrap();
    assert_eq!(operator(1).phrases(), [b"one".to_vec(), b"\xffbyte".to_vec()]);
    assert!(operator(2).negated);
    assert_eq!(operator(3).entries(), [b"10.0.0.0/8".to_vec(), b"::1".to_vec()]);
    assert_eq!(configuration.files.iter().filter(|file| file.is_data).count(), 2);
    let said = said(&configuration);
    assert!(said[0].starts_with("etc/r/x.conf:4: error: etc/r/none.data cannot be read"), "{said:?}");
    assert!(said.iter().any(|line| line.ends_with("(rule 4 left out)")));
    assert!(said.iter().any(|line| line.contains("is not fetched")));
}

#[test]
fn there_may_not_be_too_many_rules() {
    let text: String = (1..=MAX_RULES + 1).map(|id| format!("SecAction id:{id},pass\n")).collect();
    let error = parse_str("t.conf", &text).unwrap_err();
    assert_eq!(error.to_string(), format!("t.conf:{}: more than {MAX_RULES} rules", MAX_RULES + 1));
}

#[test]
fn a_file_may_not_be_too_large() {
    let files = Memory::new().with("etc/main.conf", vec![b'\n'; MAX_FILE + 1]);
    let error = parse_files(&["etc/main.conf".into()], &files).unwrap_err();
    assert!(error.to_string().contains("more than 16777216 bytes"), "{error}");
}
