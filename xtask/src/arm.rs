//! The gateway for small ARM boxes: built as one static program, and run under QEMU's user mode.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::guests;
use crate::process::{Cargo, Failure, workspace};
use crate::toolchain::{ARM_BOX, ensure_program, ensure_target};

/// Runs a program for AArch64, and its package in Debian.
pub const QEMU: &str = "qemu-aarch64-static";
const QEMU_PACKAGE: &str = "qemu-user-static";
/// The program must not be larger, in bytes.
const SIZE_LIMIT: u64 = 6_000_000;
/// The longest wait for the gateway, which is emulated.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes sure that programs for AArch64 can be built and run.
pub fn ensure() -> Result<(), Failure> {
    ensure_target(ARM_BOX)?;
    ensure_program(QEMU, QEMU_PACKAGE)
}

/// Cargo for a static program: musl comes with the target, and rustc's own linker is enough.
pub fn cargo(task: &str) -> Cargo {
    Cargo::new([task, "--target", ARM_BOX]).env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
}

/// Builds the gateway with wasmi alone; tells where it is.
pub fn build() -> Result<PathBuf, Failure> {
    ensure_target(ARM_BOX)?;
    guests::build()?;
    cargo("build")
        .args(["--profile", "edge", "--package", "picket", "--no-default-features", "--features", "wasmi"])
        .env("PICKET_WAF_MODULE", guests::waf_module())
        .env("PICKET_SECLANG_MODULE", guests::seclang_module())
        .run()?;
    let program = workspace().join("target").join(ARM_BOX).join("edge/picket");
    let bytes =
        fs::metadata(&program).map_err(|error| Failure::new(format!("{}: {error}", program.display())))?;
    println!("{}: {:.2} MB, static", program.display(), bytes.len() as f64 / 1e6);
    if bytes.len() > SIZE_LIMIT {
        return Err(Failure::new(format!(
            "{} has {} bytes; {SIZE_LIMIT} are allowed",
            program.display(),
            bytes.len()
        )));
    }
    Ok(program)
}

/// Starts the gateway for AArch64 before its built-in demo: what is clean passes, an attack does not.
pub fn test() -> Result<(), Failure> {
    ensure()?;
    let program = build()?;
    let ready = workspace().join("target/arm-ready.json");
    let _ = fs::remove_file(&ready);
    let mut gateway = Gateway::start(&program, &ready)?;
    let address = gateway.address(&ready)?;
    for (target, expected) in [("/", 200), ("/?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-", 403)]
    {
        let status = get(address, target).map_err(|error| Failure::new(format!("GET {target}: {error}")))?;
        println!("AArch64: GET {target}: {status}");
        if status != expected {
            return Err(Failure::new(format!("GET {target} was answered {status} instead of {expected}")));
        }
    }
    Ok(())
}

struct Gateway(Child);

impl Gateway {
    fn start(program: &Path, ready: &Path) -> Result<Self, Failure> {
        Command::new(QEMU)
            .arg(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--ready-file"])
            .arg(ready)
            .stdout(Stdio::null())
            .spawn()
            .map(Gateway)
            .map_err(|error| Failure::new(format!("{QEMU} did not start: {error}")))
    }

    /// Where it listens, when it does.
    fn address(&mut self, ready: &Path) -> Result<SocketAddr, Failure> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Err(Failure::new(format!("the gateway for AArch64 ended by itself ({status})")));
            }
            let bound = fs::read_to_string(ready).ok();
            let bound: Option<serde_json::Value> = bound.and_then(|text| serde_json::from_str(&text).ok());
            let address = bound.as_ref().and_then(|bound| bound["listeners"][0].as_str());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                return Ok(address);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(Failure::new(format!("the gateway for AArch64 was not ready within {} s", PATIENCE.as_secs())))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status that a GET is answered with.
fn get(address: SocketAddr, target: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: shop.example.org\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::Error::other(format!("no status in {response:?}")))
}
