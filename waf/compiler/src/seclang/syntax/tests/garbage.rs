//! Nothing that a file holds makes the parser panic, and nothing is taken twice.

use proptest::prelude::*;

use super::*;

const SNIPPETS: &[&str] = &[
    "SecRule",
    "SecAction",
    "SecDefaultAction",
    "SecMarker END",
    "SecRuleRemoveById 1-9",
    "SecRuleUpdateTargetById 1 ",
    "SecRuleUpdateActionById 1:1 ",
    "SecRuleRemoveByTag ",
    "Include ",
    " ARGS|!ARGS:a",
    "XML:/*",
    "TX:'/^a|b/'",
    "&TX:%{tx.a}",
    "\"@rx ^a",
    "\"!@pm a |41| b",
    "\"@eq %{tx.x}\"",
    "\"id:1,phase:2,",
    "id:2",
    "chain",
    "block,",
    "msg:'a, b\\'c'",
    "setvar:'tx.a=+%{tx.b}'",
    "ctl:ruleRemoveTargetById=1;ARGS:a",
    "skipAfter:END,",
    "t:none,t:lowercase",
    "\"",
    "'",
    "\\",
    "\\\n",
    "\n",
    "\r\n",
    " ",
    ",",
    ":",
    "=",
    "|",
    "/",
    "%{",
    "}",
    "#",
    "\u{e9}",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::sample::select(SNIPPETS).prop_map(|snippet| snippet.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn check(bytes: &[u8]) {
    let files = Memory::new().with("a.conf", bytes);
    let Ok(configuration) = parse_files(&["a.conf".into()], &files) else { return };
    let mut ids = ids(&configuration);
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u32;
    for rule in configuration.rules() {
        assert!(!rule.links.is_empty() && rule.id != 0);
        assert!(rule.links.iter().all(|link| (1..=lines).contains(&link.place.line)));
    }
    assert!(configuration.diagnostics.iter().all(|it| (1..=lines).contains(&it.place.line)));
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
    }

    #[test]
    fn any_pieces(bytes in text()) {
        check(&bytes);
    }
}

/// What would be slow if something were looked for again and again.
#[test]
fn hostile_texts_end() {
    for piece in
        ["%{", "%{tx.", ":'", "='", "\\\n", "#\\\n", "a:/", "|", "ARGS|", "'\\", "\"\n", "SecRule \"\n", ",'"]
    {
        let text = piece.repeat(200_000 / piece.len());
        check(text.as_bytes());
        check(format!("SecRule ARGS:/{text} \"{text}\" \"id:1,msg:{text}\"").as_bytes());
        check(format!("SecRuleUpdateTargetById 1 \"ARGS:{text}\"").as_bytes());
    }
}
