//! `picket inspect`: what a module is and whether it would load, without running it.

mod show;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use picket::config::FilterConfig;
use picket_abi::Capability;
use picket_host::{Limits, LoadError, ModuleDigest, ModuleInfo, Policy, inspect};

/// Arguments of `picket inspect`.
#[derive(clap::Args)]
#[command(after_help = "Exit code: 0 the module would load, 1 it would not, 2 it cannot be read.")]
pub struct Args {
    /// The module's file
    module: PathBuf,
    /// Limits to hold it to
    #[arg(long, value_enum, default_value_t = Tier::Waf)]
    tier: Tier,
    /// Capability to grant it, by name; may be repeated (`panic` and `log` are
    /// granted as `picket serve` does)
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    grant: Vec<Capability>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The tiers of limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tier {
    /// 10 ms and 10 MB
    Waf,
    /// 50 ms and 50 MB
    Edge,
}

impl Tier {
    const fn name(self) -> &'static str {
        match self {
            Tier::Waf => "waf",
            Tier::Edge => "edge",
        }
    }
}

fn capability(name: &str) -> Result<Capability, String> {
    Capability::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Capability::ALL.iter().map(|capability| capability.name()).collect();
        format!("no such capability (there is: {})", known.join(", "))
    })
}

/// What was found out, for either form of the report.
struct Findings {
    file: PathBuf,
    digest: ModuleDigest,
    bytes: usize,
    /// `None` where the bytes are no module.
    info: Option<ModuleInfo>,
    policy: Policy,
    tier: Tier,
    refusal: Option<LoadError>,
}

impl Findings {
    fn new(args: &Args, wasm: &[u8]) -> Findings {
        let limits = match args.tier {
            Tier::Waf => Limits::WAF,
            Tier::Edge => Limits::EDGE_FUNCTION,
        };
        let mut policy = Policy { limits, ..FilterConfig::DEFAULT_POLICY };
        for &capability in &args.grant {
            policy.capabilities = policy.capabilities.with(capability);
        }
        let (info, refusal) = match inspect(wasm) {
            Ok(info) => {
                let refusal = info.check(&policy).err();
                (Some(info), refusal)
            }
            Err(error) => (None, Some(error)),
        };
        Findings {
            file: args.module.clone(),
            digest: ModuleDigest::of(wasm),
            bytes: wasm.len(),
            info,
            policy,
            tier: args.tier,
            refusal,
        }
    }
}

/// Runs the command; errors go to standard error.
pub fn run(args: Args) -> ExitCode {
    let wasm = match std::fs::read(&args.module) {
        Ok(wasm) => wasm,
        Err(error) => {
            eprintln!("picket: {}: {error}", args.module.display());
            return ExitCode::from(crate::EXIT_ERROR);
        }
    };
    let findings = Findings::new(&args, &wasm);
    let text = if args.json {
        format!("{:#}\n", show::json(&findings))
    } else {
        show::text(&findings, super::table::colour())
    };
    // A reader that has gone away (`| head`) changes nothing about the module.
    std::io::stdout().write_all(text.as_bytes()).ok();
    if findings.refusal.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn findings(wat: &[u8], arguments: &[&str]) -> Findings {
        let cli = Cli::parse_from(["inspect", "module.wasm"].iter().chain(arguments));
        Findings::new(&cli.args, wat)
    }

    /// A module with the exports every guest has, one phase, and these further bytes of an import
    /// section: encoded by hand, because the gateway has no use for an assembler.
    fn module(imports: &[u8]) -> Vec<u8> {
        let section = |id: u8, body: &[u8]| {
            let mut section = vec![id, body.len() as u8];
            section.extend_from_slice(body);
            section
        };
        let functions = imports.first().copied().unwrap_or(0);
        let export = |name: &str, kind: u8, index: u8| {
            let mut export = vec![name.len() as u8];
            export.extend_from_slice(name.as_bytes());
            export.extend_from_slice(&[kind, index]);
            export
        };
        let mut exports = vec![4];
        exports.extend(export("memory", 2, 0));
        exports.extend(export("picket_abi", 0, functions));
        exports.extend(export("picket_input", 0, functions + 1));
        exports.extend(export("picket_request_head", 0, functions + 2));
        let mut wasm = b"\0asm\x01\0\0\0".to_vec();
        // () -> i32, (i32) -> i32, (i32) -> i64, () -> i64
        wasm.extend(section(1, b"\x04\x60\0\x01\x7f\x60\x01\x7f\x01\x7f\x60\x01\x7f\x01\x7e\x60\0\x01\x7e"));
        if functions > 0 {
            wasm.extend(section(2, imports));
        }
        wasm.extend(section(3, b"\x03\0\x01\x02"));
        wasm.extend(section(5, b"\x01\0\x01"));
        wasm.extend(section(7, &exports));
        // i32.const 1 << 16; i32.const 1024; i64.const 0
        wasm.extend(section(10, b"\x03\x06\0\x41\x80\x80\x04\x0b\x05\0\x41\x80\x08\x0b\x04\0\x42\0\x0b"));
        wasm
    }

    #[test]
    fn a_guest_that_asks_for_nothing_would_load() {
        let findings = findings(&module(&[]), &[]);
        assert_eq!(findings.refusal, None);
        let json = show::json(&findings);
        assert_eq!(json["would_load"], true);
        assert_eq!(json["abi"], "1.0");
        assert_eq!(json["memory"]["initial_bytes"], 65_536);
        assert_eq!(json["phases"], serde_json::json!(["request_head"]));
        assert!(show::text(&findings, false).contains("would load"));
    }

    #[test]
    fn an_import_that_is_not_granted_is_named() {
        let imports = b"\x01\x06picket\x03now\0\x03";
        let refused = findings(&module(imports), &[]);
        let json = show::json(&refused);
        assert_eq!(json["would_load"], false);
        let reason = json["reason"].as_str().unwrap();
        assert!(reason.contains("now"), "{reason}");
        assert!(show::text(&refused, false).contains(reason));
        assert_eq!(findings(&module(imports), &["--grant", "now"]).refusal, None);
    }

    #[test]
    fn bytes_that_are_no_module_still_have_a_digest() {
        let findings = findings(b"no wasm", &["--tier", "edge"]);
        let json = show::json(&findings);
        assert_eq!(json["would_load"], false);
        assert_eq!(json["tier"], "edge");
        assert_eq!(json["sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn a_capability_that_does_not_exist_is_refused_with_those_that_do() {
        let error = Cli::try_parse_from(["inspect", "m", "--grant", "root"]).err().unwrap().to_string();
        assert!(error.contains("http_fetch"), "{error}");
    }
}
