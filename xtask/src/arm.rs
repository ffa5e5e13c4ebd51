//! The gateway for small ARM boxes: built as one static program, and run under QEMU's user mode.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::guests;
use crate::process::{Cargo, Failure, workspace};
use crate::resident;
use crate::toolchain::{ensure_program, ensure_target};

/// The package in Debian of QEMU's user mode.
const QEMU_PACKAGE: &str = "qemu-user-static";
/// The program must not be larger, in bytes.
const SIZE_LIMIT: u64 = 6_000_000;
/// Memory that it may hold when it has the built-in rules and waits, in bytes.
const RESIDENT_LIMIT: u64 = 10_000_000;
/// What a further filter may add to that.
const FILTER_LIMIT: u64 = 1_000_000;
/// Filters that memory is measured with, beside one.
const FILTERS: usize = 5;
/// The longest wait for the gateway, which is emulated.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of ARM box with Linux.
pub struct ArmBox {
    pub name: &'static str,
    pub triple: &'static str,
    /// Runs its programs here.
    pub qemu: &'static str,
    /// The linker, if it is not Rust's own, and its packages in Debian.
    linker: Option<(&'static str, &'static str)>,
}

/// With musl, which comes with the target: Rust's own linker is enough.
pub const AARCH64: ArmBox = ArmBox {
    name: "AArch64",
    triple: "aarch64-unknown-linux-musl",
    qemu: "qemu-aarch64-static",
    linker: None,
};

/// With the C library of a cross compiler, linked in.
pub const ARMV7: ArmBox = ArmBox {
    name: "ARMv7",
    triple: "armv7-unknown-linux-gnueabihf",
    qemu: "qemu-arm-static",
    linker: Some(("arm-linux-gnueabihf-gcc", "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross")),
};

const BOXES: [&ArmBox; 2] = [&AARCH64, &ARMV7];

impl ArmBox {
    /// Makes sure that programs for it can be built and run.
    pub fn ensure(&self) -> Result<(), Failure> {
        ensure_target(self.triple)?;
        if let Some((linker, packages)) = self.linker {
            ensure_program(linker, packages)?;
        }
        ensure_program(self.qemu, QEMU_PACKAGE)
    }

    /// Cargo for a static program.
    pub fn cargo(&self, task: &str) -> Cargo {
        let variable = |what| format!("CARGO_TARGET_{}_{what}", self.triple.to_uppercase().replace('-', "_"));
        let linker = self.linker.map_or("rust-lld", |(linker, _)| linker);
        Cargo::new([task, "--target", self.triple])
            .env(&variable("LINKER"), linker)
            .env(&variable("RUSTFLAGS"), "-Ctarget-feature=+crt-static")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
    }

    /// Where a program is that was built with the profile `edge`.
    pub fn program(&self, name: &str) -> PathBuf {
        workspace().join("target").join(self.triple).join("edge").join(name)
    }

    /// A program of this kind of box, run here.
    pub fn emulated(&self, program: &Path) -> Command {
        let mut command = Command::new(self.qemu);
        command.arg(program);
        command
    }

    /// Builds the gateway with wasmi alone; tells where it is.
    fn build(&self) -> Result<PathBuf, Failure> {
        self.cargo("build")
            .args(["--profile", "edge", "--package", "picket", "--no-default-features"])
            .args(["--features", "wasmi"])
            .env("PICKET_WAF_MODULE", guests::waf_module())
            .env("PICKET_SECLANG_MODULE", guests::seclang_module())
            .run()?;
        Ok(self.program("picket"))
    }

    /// Starts the gateway before its built-in demo: what is clean passes, an attack does not.
    fn test(&self, program: &Path) -> Result<(), Failure> {
        let mut gateway = Gateway::start(self, program, &["--listen", "127.0.0.1:0"])?;
        let address = gateway.address()?;
        let attack = "/?q=1%27%20UNION%20SELECT%20password%20FROM%20users--%20-";
        for (target, expected) in [("/", 200), (attack, 403)] {
            let status =
                get(address, target).map_err(|error| Failure::new(format!("GET {target}: {error}")))?;
            println!("{}: GET {target}: {status}", self.name);
            if status != expected {
                return Err(Failure::new(format!(
                    "GET {target} was answered {status} instead of {expected}"
                )));
            }
        }
        Ok(())
    }

    /// Size and memory of the gateway.
    fn measure(&self, program: &Path) -> Result<Figures, Failure> {
        let bytes = fs::metadata(program)
            .map_err(|error| Failure::new(format!("{}: {error}", program.display())))?
            .len();
        let (one, more) = (self.resident_with(program, 1)?, self.resident_with(program, FILTERS)?);
        let further = more.saturating_sub(one) / (FILTERS as u64 - 1);
        Ok(Figures { bytes, one, further })
    }

    fn resident_with(&self, program: &Path, filters: usize) -> Result<u64, Failure> {
        use std::fmt::Write as _;

        let folder = workspace().join("target/arm");
        fs::create_dir_all(&folder)
            .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        let mut config = String::from("[[listener]]\naddr = \"127.0.0.1:0\"\n");
        let mut names = Vec::new();
        for filter in 0..filters {
            let _ = writeln!(config, "[filter.f{filter}]\nmodule = \"builtin:waf\"");
            names.push(format!("\"f{filter}\""));
        }
        // Nobody listens there, and nobody is asked.
        config.push_str("[upstream.none]\nurls = [\"http://127.0.0.1:9\"]\n");
        let _ = writeln!(config, "[chain.default]\nfilters = [{}]", names.join(", "));
        config.push_str("[[route]]\nname = \"all\"\nupstream = \"none\"\n");
        let file = folder.join("picket.toml");
        fs::write(&file, config).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;

        let pages = folder.join("pages.log");
        let mut gateway =
            Gateway::start_traced(self, program, &pages, &["--config", &file.display().to_string()])?;
        gateway.address()?;
        resident::of_guest(gateway.child.id(), &pages)
    }
}

/// Makes sure that programs for all ARM boxes can be built and run.
fn ensure() -> Result<(), Failure> {
    BOXES.iter().try_for_each(|arm| arm.ensure())
}

/// Builds the gateway for each kind of box.
pub fn build() -> Result<(), Failure> {
    ensure()?;
    guests::build()?;
    BOXES.iter().try_for_each(|arm| arm.build().map(|_| ()))
}

/// The same, and runs them; what they take must be within its limits.
pub fn test() -> Result<(), Failure> {
    ensure()?;
    guests::build()?;
    let mut all = Vec::new();
    for arm in BOXES {
        let program = arm.build()?;
        arm.test(&program)?;
        all.push((arm, arm.measure(&program)?));
    }
    print!("{}", table(&all));
    all.iter().try_for_each(|(arm, figures)| {
        within(arm, "the program", figures.bytes, SIZE_LIMIT)?;
        within(arm, "memory at rest", figures.one, RESIDENT_LIMIT)?;
        within(arm, "memory of a further filter", figures.further, FILTER_LIMIT)
    })
}

/// What the gateway takes on each kind of box.
pub fn sizes() -> Result<(), Failure> {
    ensure()?;
    let measure = |arm: &'static ArmBox| Ok((arm, arm.measure(&arm.build()?)?));
    let all: Vec<_> = BOXES.into_iter().map(measure).collect::<Result<_, Failure>>()?;
    print!("{}", table(&all));
    Ok(())
}

/// What a gateway with wasmi alone takes, in bytes.
struct Figures {
    /// The program.
    bytes: u64,
    /// Resident when it waits with the built-in rules.
    one: u64,
    /// What each further filter adds to that.
    further: u64,
}

fn table(all: &[(&ArmBox, Figures)]) -> String {
    let mut table =
        format!("{:<28} {:>12} {:>14} {:>18}\n", "gateway", "program, MB", "resident, MB", "each filter, MB");
    for (arm, Figures { bytes, one, further }) in all {
        let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
        table.push_str(&format!(
            "{:<28} {:>12.2} {:>14.2} {:>18.2}\n",
            format!("{}, wasmi", arm.name),
            megabytes(bytes),
            megabytes(one),
            megabytes(further)
        ));
    }
    table
}

fn within(arm: &ArmBox, what: &str, bytes: u64, limit: u64) -> Result<(), Failure> {
    match bytes <= limit {
        true => Ok(()),
        false => Err(Failure::new(format!("{}: {what}: {bytes} bytes; {limit} are allowed", arm.name))),
    }
}

/// A gateway that is emulated.
struct Gateway {
    child: Child,
    name: &'static str,
    ready: PathBuf,
}

impl Gateway {
    fn start(arm: &ArmBox, program: &Path, args: &[&str]) -> Result<Self, Failure> {
        Self::spawn(arm, arm.emulated(program), args)
    }

    /// The same; QEMU writes to `pages` what memory the program has.
    fn start_traced(arm: &ArmBox, program: &Path, pages: &Path, args: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(arm.qemu);
        command.args(["-d", "page", "-D"]).arg(pages).arg(program);
        Self::spawn(arm, command, args)
    }

    fn spawn(arm: &ArmBox, mut command: Command, args: &[&str]) -> Result<Self, Failure> {
        let ready = workspace().join("target/arm-ready.json");
        let _ = fs::remove_file(&ready);
        command
            .arg("serve")
            .args(args)
            .arg("--ready-file")
            .arg(&ready)
            .stdout(Stdio::null())
            .spawn()
            .map(|child| Gateway { child, name: arm.name, ready })
            .map_err(|error| Failure::new(format!("{} did not start: {error}", arm.qemu)))
    }

    /// Where it listens, when it does.
    fn address(&mut self) -> Result<SocketAddr, Failure> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Failure::new(format!(
                    "the gateway for {} ended by itself ({status})",
                    self.name
                )));
            }
            let bound = fs::read_to_string(&self.ready).ok();
            let bound: Option<serde_json::Value> = bound.and_then(|text| serde_json::from_str(&text).ok());
            let address = bound.as_ref().and_then(|bound| bound["listeners"][0].as_str());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                return Ok(address);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(Failure::new(format!(
            "the gateway for {} was not ready within {} s",
            self.name,
            PATIENCE.as_secs()
        )))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
