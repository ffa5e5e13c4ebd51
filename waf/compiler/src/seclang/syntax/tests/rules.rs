//! Single rules, chains, inheritance, settings.

use super::*;

#[test]
fn a_rule_has_its_parts() {
    let text = "# above\nSecRule ARGS|!ARGS:a \"!@contains \\\"x\" \\\n    \"id:7,phase:1,deny,status:429,t:none,t:lowercase,capture,\\\n    msg:'m %{MATCHED_VAR_NAME}',logdata:'d',tag:'t',severity:CRITICAL\"\n";
    let configuration = clean(text);
    let rule = rule(&configuration, 7);
    assert_eq!(
        (rule.phase, &rule.disruption, rule.status),
        (Phase::RequestHeaders, &Disruption::Deny, Some(429))
    );
    assert!(rule.log && rule.audit_log && !rule.blocks_by_default);
    let head = rule.head();
    assert_eq!((head.place.line, head.targets.len()), (2, 2));
    assert!(head.source.starts_with("SecRule ARGS|!ARGS:a") && head.source.ends_with("CRITICAL\""));
    let operator = head.operator.as_ref().unwrap();
    assert_eq!((operator.kind, operator.negated), (OperatorKind::Contains, true));
    assert_eq!(operator.raw, b"\"x");
    assert_eq!(head.transformations, ["lowercase"]);
    assert_eq!((head.capture, head.severity), (true, Some(Severity::Critical)));
    assert_eq!(rule.message().unwrap().pieces.len(), 2);
}

#[test]
fn names_are_read_in_any_case_and_patterns_as_bytes() {
    let files =
        Memory::new().with("a", b"SECRULE args \"@RX \xe9[^\\d]\" \"ID:1,PASS,T:LowerCase\"".as_slice());
    let configuration = parse_files(&["a".into()], &files).unwrap();
    assert_eq!(said(&configuration), Vec::<String>::new());
    let operator = rule(&configuration, 1).head().operator.clone().unwrap();
    assert_eq!(operator.raw, b"\xe9[^\\d]");
    assert_eq!(operator.pattern(), r"\xe9[^\d]");
}

#[test]
fn without_defaults_a_rule_passes_and_is_logged() {
    let configuration =
        clean("SecRule ARGS a id:1\nSecAction id:2,block,nolog\nSecAction id:3,pass,noauditlog");
    let facts = |id| {
        let rule = rule(&configuration, id);
        (rule.phase.number(), rule.disruption.clone(), rule.blocks_by_default, rule.log, rule.audit_log)
    };
    assert_eq!(facts(1), (2, Disruption::Pass, true, true, true));
    assert_eq!(facts(2), (2, Disruption::Pass, true, false, false));
    assert_eq!(facts(3), (2, Disruption::Pass, false, true, false));
}

#[test]
fn defaults_are_inherited_by_phase() {
    let configuration = parse(
        "SecAction id:1,phase:1,block\n\
         SecDefaultAction \"phase:1,nolog,deny,status:418,t:lowercase,tag:'d'\"\n\
         SecDefaultAction phase:2,log,pass\n\
         SecRule ARGS a id:2,phase:1,t:urlDecode,log\n\
         SecRule ARGS a id:3,phase:1,pass,t:none,t:trim\n\
         SecRule ARGS a id:4,phase:2\n\
         SecDefaultAction phase:1,drop\n\
         SecAction id:5,phase:1,block\n",
    );
    assert!(configuration.diagnostics.iter().all(|it| it.level == Level::Note), "{:?}", said(&configuration));
    let rule = |id| rule(&configuration, id);
    assert_eq!((&rule(1).disruption, rule(1).status), (&Disruption::Deny, Some(418)));
    assert_eq!((&rule(2).disruption, rule(2).log), (&Disruption::Deny, true));
    assert_eq!(rule(2).head().transformations, ["lowercase", "urlDecode"]);
    assert_eq!(rule(2).head().tags, [Template::literal(b"d")]);
    assert_eq!((&rule(3).disruption, rule(3).log), (&Disruption::Pass, false));
    assert_eq!(rule(3).head().transformations, ["trim"]);
    assert_eq!((&rule(4).disruption, rule(4).head().transformations.len()), (&Disruption::Pass, 0));
    assert_eq!(rule(5).disruption, Disruption::Drop);
}

#[test]
fn what_cannot_be_a_default_is_said() {
    let said = said(&parse(
        "SecDefaultAction phase:1,deny,id:5\nSecDefaultAction phase:1,block\nSecDefaultAction deny\n\
         SecDefaultAction phase:1\nSecDefaultAction a b",
    ));
    assert_eq!(said[0], "t.conf:1: error: SecDefaultAction: id cannot be a default");
    assert_eq!(said[1], "t.conf:2: error: SecDefaultAction: block cannot be a default");
    assert_eq!(said[2], "t.conf:3: warning: SecDefaultAction names no phase; 2 is taken");
    assert!(said[3].starts_with("t.conf:4: warning: SecDefaultAction names no disruptive"));
    assert_eq!(said[4], "t.conf:5: error: SecDefaultAction takes one list of actions");
}

#[test]
fn chains_are_one_rule() {
    let configuration = clean(
        "SecRule ARGS a \"id:1,phase:1,deny,nolog,chain\"\n  SecRule TX:x b \"chain,setvar:tx.y=1\"\n\
         SecAction \"t:none,log,skipAfter:END,status:500\"\nSecMarker END\nSecAction id:2,pass",
    );
    assert_eq!(ids(&configuration), [1, 2]);
    let rule = rule(&configuration, 1);
    assert_eq!((rule.links.len(), rule.status), (3, Some(500)));
    assert_eq!(rule.skip_after.as_deref(), Some(&b"END"[..]), "what runs at the end is the rule's");
}

#[test]
fn broken_chains_are_left_out_whole() {
    let said_of = |text: &str| {
        let configuration = parse(text);
        (ids(&configuration), said(&configuration))
    };
    let (left, said) = said_of(
        "SecRule ARGS a id:1,chain\nSecRule NIX b chain\nSecRule ARGS c \"t:none\"\nSecAction id:2,pass",
    );
    assert_eq!(left, [2]);
    assert_eq!(said[0], "t.conf:2: error: unknown variable NIX");
    assert_eq!(said[1], "t.conf:2: error: the chain of 3 rules is faulty (rule 1 left out)");

    let (left, said) = said_of("SecRule ARGS a id:1,chain\nSecRule ARGS b deny\nSecAction id:2,pass");
    assert_eq!(left, [2]);
    assert!(said[0].contains("only the first rule of a chain may have a disruptive action"));

    let (left, said) = said_of("SecRule ARGS a id:1,chain\nSecMarker X\nSecAction id:2,pass,chain");
    assert_eq!(left, [0; 0]);
    assert_eq!(said[0], "t.conf:1: error: chain, but no rule follows (rule 1 left out)");
    assert_eq!(said[1], "t.conf:3: error: chain, but no rule follows (rule 2 left out)");

    let (left, said) = said_of("SecRule ARGS a id:1,chain\nSecRule ARGS \"b\nSecAction id:2,pass");
    assert_eq!(left, [2], "{said:?}");
}

#[test]
fn ids_are_needed_and_unique() {
    let configuration =
        parse("SecRule ARGS a pass\nSecAction id:1,pass\nSecRule ARGS b id:1,deny\nSecRule ARGS c");
    assert_eq!(ids(&configuration), [1]);
    assert_eq!(
        said(&configuration),
        [
            "t.conf:1: error: a rule needs an id",
            "t.conf:3: error: the id 1 is taken by the rule at t.conf:2 (rule 1 left out)",
            "t.conf:4: error: a rule needs an id",
        ]
    );
}

#[test]
fn rules_that_are_not_understood_are_left_out_and_said() {
    for (rule, why) in [
        ("SecRule ARGS \"@nix a\" id:1", "unknown operator @nix"),
        (
            "SecRule ARGS \"@geoLookup\" id:1",
            "the operator @geoLookup is not there: there is no geographic database",
        ),
        ("SecRule ARGS a id:1,t:nix", "unknown transformation nix"),
        ("SecRule ARGS a id:1,nix:x", "unknown action nix"),
        ("SecRule ARGS a id:1,ctl:nix=x", "unknown ctl:nix"),
        ("SecRule !ARGS:a a id:1", "no target is left to look at"),
        ("SecRule ARGS:/a a id:1 b", "SecRule takes targets, an operator and actions, not 4 arguments"),
    ] {
        let configuration = parse(rule);
        assert_eq!(ids(&configuration), [0; 0], "{rule}");
        assert_eq!(configuration.diagnostics[0].text, why, "{rule}");
        assert_eq!(configuration.diagnostics.last().unwrap().rule_left_out, Some(1), "{rule}");
        assert!(configuration.has_errors());
    }
}

#[test]
fn a_target_that_is_not_there_leaves_the_rule() {
    let configuration = parse("SecRule ARGS|XML:/a/b a id:1");
    assert_eq!(rule(&configuration, 1).head().targets.len(), 1);
    assert_eq!(configuration.diagnostics[0].level, Level::Warning);
    assert_eq!(ids(&parse("SecRule XML:/a/b a id:1")), [0; 0]);
}

#[test]
fn markers_must_follow() {
    let configuration = parse(
        "SecMarker A\nSecAction id:1,pass,skipAfter:A\nSecAction id:2,pass,skipAfter:B\nSecMarker \"B\"",
    );
    assert_eq!(
        said(&configuration),
        ["t.conf:2: warning: skipAfter:A: no such marker follows, so the rest of the phase is passed over"]
    );
    assert!(matches!(&configuration.items[3], Item::Marker(marker) if marker.name == b"B"));
}

#[test]
fn settings_are_read() {
    let configuration = clean(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecRequestBodyLimit 1000\n\
         SecRequestBodyNoFilesLimit 100\nSecRequestBodyLimitAction ProcessPartial\nSecRequestBodyJsonDepthLimit 16\n\
         SecArgumentsLimit 255\nSecUploadFileLimit 9\nSecResponseBodyAccess off\nSecResponseBodyLimit 2000\n\
         SecResponseBodyLimitAction Reject\nSecResponseBodyMimeType text/plain TEXT/html\n\
         SecAuditEngine RelevantOnly\nSecAuditLog /var/log/a.log\nSecAuditLogParts ABz\n\
         SecAuditLogRelevantStatus \"^(?:5|4(?!04))\"\nSecArgumentSeparator &\nSecCookieFormat 0\n\
         SecCollectionTimeout 600\nSecComponentSignature \"A/1.0\"\nSecComponentSignature B\nSecWebAppId app\n",
    );
    let expected = Directives {
        rule_engine: Some(EngineMode::DetectionOnly),
        request_body_access: Some(true),
        request_body_limit: Some(1000),
        request_body_no_files_limit: Some(100),
        request_body_limit_action: Some(LimitAction::ProcessPartial),
        request_body_json_depth_limit: Some(16),
        arguments_limit: Some(255),
        upload_file_limit: Some(9),
        response_body_access: Some(false),
        response_body_limit: Some(2000),
        response_body_limit_action: Some(LimitAction::Reject),
        response_body_mime_types: Some(vec!["text/plain".into(), "text/html".into()]),
        audit_engine: Some(AuditMode::RelevantOnly),
        audit_log: Some("/var/log/a.log".into()),
        audit_log_parts: Some("ABZ".into()),
        audit_log_relevant_status: Some("^(?:5|4(?!04))".into()),
        argument_separator: Some(b'&'),
        collection_timeout: Some(600),
        component_signatures: vec!["A/1.0".into(), "B".into()],
        web_app_id: Some("app".into()),
    };
    assert_eq!(configuration.directives, expected);
    let cleared =
        clean("SecResponseBodyMimeType a/b\nSecResponseBodyMimeTypesClear\nSecResponseBodyMimeType c/d");
    assert_eq!(cleared.directives.response_body_mime_types, Some(vec!["c/d".into()]));
}

#[test]
fn settings_without_effect_are_notes() {
    let configuration = parse(
        "SecTmpDir /tmp\nSecPcreMatchLimit 1000\nSecDebugLogLevel 3\nSecCookieFormat 1\nSecHashEngine On\n\
         SecNoSuchThing 1\nSecRuleEngine perhaps",
    );
    let levels: Vec<_> = configuration.diagnostics.iter().map(|it| it.level).collect();
    let mut expected = vec![Level::Note; 5];
    expected.extend([Level::Warning, Level::Error]);
    assert_eq!(levels, expected);
    assert_eq!(
        said(&configuration)[0],
        "t.conf:1: note: SecTmpDir has no effect here: nothing is written to disk"
    );
    assert_eq!(configuration.directives, Directives::default());
}
