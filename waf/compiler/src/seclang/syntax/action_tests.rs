use super::*;
use crate::seclang::syntax::{EngineMode, Piece};

fn parse(text: &str) -> Actions {
    let actions = parse_actions(text.as_bytes());
    assert_eq!(actions.problems, [], "{text}");
    actions
}

fn errors(text: &str) -> Vec<String> {
    let actions = parse_actions(text.as_bytes());
    actions.problems.into_iter().filter(|it| it.0 == Level::Error).map(|it| it.1).collect()
}

fn literal(text: &str) -> Template {
    Template::literal(text.as_bytes())
}

fn tx(name: &str, operation: SetOperation) -> Action {
    Action::SetVar { collection: Variable::Tx, name: literal(name), operation }
}

#[test]
fn values_may_be_quoted() {
    let actions = parse(
        "id:'7' , phase:2,deny, msg:'a, b\\'s \\d',\n  tag:x/y,tag:'z', ver:'1.0',rev:2,severity:'CRITICAL',status:429",
    );
    assert_eq!((actions.id, actions.phase, actions.status), (Some(7), Some(Phase::RequestBody), Some(429)));
    assert_eq!(actions.disruption, Some(Decision::Is(Disruption::Deny)));
    assert_eq!(actions.message, Some(literal("a, b's \\d")));
    assert_eq!(actions.tags, [literal("x/y"), literal("z")]);
    assert_eq!((actions.version.as_deref(), actions.revision.as_deref()), (Some("1.0"), Some("2")));
    assert_eq!(actions.severity, Some(Severity::Critical));
}

#[test]
fn phases_and_severities_have_names_and_numbers() {
    for (text, phase) in [("request", 2), ("RESPONSE", 4), ("logging", 5), ("'3'", 3), ("1", 1)] {
        assert_eq!(parse(&format!("phase:{text}")).phase.map(Phase::number), Some(phase));
    }
    assert_eq!(parse("severity:0").severity, Some(Severity::Emergency));
    assert_eq!(parse("severity:debug").severity, Some(Severity::Debug));
    assert_eq!(errors("phase:6,severity:8,status:99,id:0").len(), 4);
}

#[test]
fn the_last_disruptive_action_counts() {
    let decision = |text: &str| parse(text).disruption.unwrap();
    assert_eq!(decision("deny,block"), Decision::Block);
    assert_eq!(decision("block,pass"), Decision::Is(Disruption::Pass));
    assert_eq!(decision("allow"), Decision::Is(Disruption::Allow(AllowScope::Transaction)));
    assert_eq!(decision("allow:phase"), Decision::Is(Disruption::Allow(AllowScope::Phase)));
    assert_eq!(decision("allow:request"), Decision::Is(Disruption::Allow(AllowScope::Request)));
    let redirect = decision("redirect:'https://a.example/?x=1,2&u=%{REQUEST_URI}'");
    let Decision::Is(Disruption::Redirect(to)) = redirect else { panic!("{redirect:?}") };
    assert_eq!(to.pieces[0], Piece::Literal(b"https://a.example/?x=1,2&u=".to_vec()));
    let proxied = parse_actions(b"proxy:http://x/");
    assert_eq!(proxied.disruption, Some(Decision::Is(Disruption::Deny)));
    assert_eq!(proxied.problems[0].0, Level::Warning);
}

#[test]
fn logs_follow_the_last_word() {
    let logs = |text: &str| (parse(text).log, parse(text).audit_log);
    assert_eq!(logs("pass"), (None, None));
    assert_eq!(logs("log"), (Some(true), Some(true)));
    assert_eq!(logs("nolog"), (Some(false), Some(false)));
    assert_eq!(logs("nolog,auditlog"), (Some(false), Some(true)));
    assert_eq!(logs("log,noauditlog"), (Some(true), Some(false)));
}

#[test]
fn transformations_are_named_in_order() {
    let actions = parse("t:none,t:URLDecodeUni,t:normalisePath,multiMatch,capture");
    assert_eq!(actions.transformations, [None, Some("urlDecodeUni"), Some("normalizePath")]);
    assert!(actions.multi_match && actions.capture);
    assert_eq!(errors("t:nothing"), ["unknown transformation nothing"]);
}

#[test]
fn setvar_has_many_forms() {
    let effects = parse(
        "setvar:tx.a=b,setvar:'tx.s=+5',setvar:tx.s=-2,setvar:!tx.a,setvar:tx.flag,setvar:tx.q='x, y',\
         setvar:TX:c=1,setvar:ip.n=+1",
    )
    .effects;
    assert_eq!(effects[0], tx("a", SetOperation::Set(literal("b"))));
    assert_eq!(effects[1], tx("s", SetOperation::Add(literal("5"))));
    assert_eq!(effects[2], tx("s", SetOperation::Subtract(literal("2"))));
    assert_eq!(effects[3], tx("a", SetOperation::Remove));
    assert_eq!(effects[4], tx("flag", SetOperation::Set(literal("1"))));
    assert_eq!(effects[5], tx("q", SetOperation::Set(literal("x, y"))));
    assert_eq!(effects[6], tx("c", SetOperation::Set(literal("1"))));
    assert!(matches!(&effects[7], Action::SetVar { collection: Variable::Ip, .. }));

    let effects = parse("setvar:'tx.n_%{MATCHED_VAR_NAME}=a=%{tx.b}'").effects;
    let Action::SetVar { name, operation: SetOperation::Set(value), .. } = &effects[0] else { panic!() };
    assert_eq!((name.pieces.len(), value.pieces.len()), (2, 2));
    assert_eq!(value.pieces[0], Piece::Literal(b"a=".to_vec()));
    for wrong in ["setvar:a=b", "setvar:args.a=b", "setvar:tx.=1", "setvar:tx", "setvar:!tx.a=1", "setvar"] {
        assert_eq!(errors(wrong).len(), 1, "{wrong}");
    }
}

#[test]
fn kept_collections_are_opened_and_expire() {
    let effects =
        parse("initcol:ip=%{REMOTE_ADDR},setsid:%{tx.1},setuid:u,setrsc:r,expirevar:ip.n=60").effects;
    let opened: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Action::OpenCollection { collection, .. } => Some(*collection),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [Variable::Ip, Variable::Session, Variable::User, Variable::Resource]);
    assert!(matches!(&effects[4], Action::ExpireVar { seconds, .. } if *seconds == literal("60")));
    assert_eq!(errors("initcol:tx=a,initcol:ip,expirevar:ip.a,expirevar:args.a=1").len(), 4);
}

#[test]
fn other_effects() {
    let effects = parse("setenv:'a=b c',ctl:ruleEngine=Off").effects;
    assert_eq!(effects[0], Action::SetEnv { name: literal("a"), value: literal("b c") });
    assert_eq!(effects[1], Action::Control(crate::seclang::syntax::Control::RuleEngine(EngineMode::Off)));
    let actions = parse("skip:2,skipAfter:END_X,chain,maturity:5,accuracy:'9'");
    assert_eq!((actions.skip, actions.skip_after.as_deref()), (Some(2), Some(&b"END_X"[..])));
    assert!(actions.chain && actions.maturity == Some(5) && actions.accuracy == Some(9));
}

#[test]
fn what_has_no_effect_is_said() {
    let actions =
        parse_actions(b"pause:5,append:'x',sanitiseArg:a,deprecatevar:ip.a=1/2,xmlns:a=b,exec:/bin/x");
    let levels: Vec<_> = actions.problems.iter().map(|it| it.0).collect();
    assert_eq!(levels, [Level::Note, Level::Note, Level::Note, Level::Note, Level::Note, Level::Warning]);
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!(errors("nothing,id:1"), ["unknown action nothing"]);
    assert_eq!(errors("nolog pass"), ["unknown action nolog pass"]);
    assert_eq!(errors("msg:'a"), ["a quote in msg is never closed"]);
    assert_eq!(errors("msg:'a' b,id:1"), ["something follows the quoted value of msg"]);
    assert_eq!(errors("id:x"), ["id has no fitting number: \"x\""]);
    assert_eq!(parse("id:1,,chain,").id, Some(1));
    assert!(parse_actions(b"nothing,chain").chain, "a chain goes on behind a mistake");
}
