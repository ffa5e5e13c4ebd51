//! The firmware in QEMU.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use picket_link::{Client, Options, Vitals};

/// How the firmware is to start; see `Boot` there.
#[derive(Clone, Copy, Default)]
pub struct Boot {
    /// A new instance for each transaction.
    pub fresh: bool,
    /// All functions are translated when the module is loaded.
    pub eager: bool,
    /// Without the module of the image.
    pub bare: bool,
}

impl Boot {
    fn word(self) -> u32 {
        0x7069_6300 | u32::from(self.fresh) | u32::from(self.eager) << 1 | u32::from(self.bare) << 2
    }
}

/// A board that runs, with a session over its first UART.
pub struct Board {
    qemu: Child,
    image: PathBuf,
    log: PathBuf,
    /// The session.
    pub client: Client,
}

impl Board {
    /// Starts an image and says hello.
    pub fn start(image: &Path, boot: Boot) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Free now; nobody else on this machine is likely to take it within the moment.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("picket-board-{}-{number}.defmt", std::process::id()));
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-machine", "mps2-an500", "-display", "none", "-monitor", "none"])
            // An instruction takes a nanosecond: what is counted repeats.
            .args(["-icount", "shift=0"])
            .args(["-serial", &format!("tcp:127.0.0.1:{port},server=on,wait=off,nodelay=on")])
            .args(["-serial", &format!("file:{}", log.display())])
            .args(["-device", &format!("loader,addr=0x2007fff0,data={:#x},data-len=4", boot.word())])
            .arg("-kernel")
            .arg(image)
            .stdin(Stdio::null())
            .spawn()
            .context("qemu-system-arm did not start; `cargo xtask firmware test` installs it")?;
        let options = Options { connect_timeout: Duration::from_secs(60), ..Options::default() };
        let address = format!("tcp://127.0.0.1:{port}").parse().context("an address")?;
        // QEMU takes a moment to listen.
        let patience = Instant::now() + Duration::from_secs(10);
        let client = loop {
            match Client::connect(std::clone::Clone::clone(&address), options.clone()) {
                Ok(client) => break client,
                Err(error) if Instant::now() > patience => {
                    let _ = qemu.kill();
                    let _ = qemu.wait();
                    let said = decode(image, &log).unwrap_or_default().join("\n");
                    bail!("the board does not answer: {error}\n{said}");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        Ok(Board { qemu, image: image.to_owned(), log, client })
    }

    /// What the board knows of itself.
    pub fn status(&mut self) -> Result<Vitals> {
        Ok(self.client.status()?.vitals)
    }

    /// Allocations since the board was started, from its log.
    pub fn allocations(&mut self) -> Result<u64> {
        self.status()?;
        let lines = decode(&self.image, &self.log)?;
        lines
            .iter()
            .rev()
            .find_map(|line| line.strip_suffix(" allocations")?.rsplit(' ').next()?.parse().ok())
            .context("the board's log does not tell its allocations")
    }

    /// Its complaints.
    pub fn errors(&mut self) -> Result<Vec<String>> {
        self.lines_with(&["ERROR"])
    }

    /// Lines of its log with all of these words.
    pub fn lines_with(&mut self, words: &[&str]) -> Result<Vec<String>> {
        let mut lines = decode(&self.image, &self.log)?;
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        Ok(lines)
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// The lines of a log, as far as it is written.
fn decode(image: &Path, log: &Path) -> Result<Vec<String>> {
    let image = std::fs::read(image)?;
    let table = defmt_decoder::Table::parse(&image)?.context("the image has no logs")?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&std::fs::read(log)?);
    let mut lines = Vec::new();
    while let Ok(frame) = decoder.decode() {
        lines.push(frame.display(false).to_string());
    }
    Ok(lines)
}
