//! The real binary, started for a test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::guests::run;

/// The longest a test waits for something that will happen: it bounds a hang, it measures nothing.
pub const WAIT: Duration = Duration::from_secs(60);

/// A running `picket serve`. It is killed when dropped.
pub struct Gateway {
    child: Child,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    folder: Folder,
    log: Arc<Mutex<Vec<String>>>,
}

/// What to start a [`Gateway`] with.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// Text of `picket.toml`; none where empty.
    pub config: String,
    /// Further arguments of `picket serve`.
    pub args: Vec<String>,
}

impl Gateway {
    /// Starts `picket serve` with this configuration and waits until it listens.
    ///
    /// # Panics
    /// With what it logged, if it ends instead.
    pub fn start(config: impl Into<String>) -> Gateway {
        Self::start_with(GatewayOptions { config: config.into(), args: Vec::new() })
    }

    /// The same with arguments.
    ///
    /// # Panics
    /// With what it logged, if it ends instead.
    pub fn start_with(options: GatewayOptions) -> Gateway {
        let folder = Folder::new();
        Self::start_in(folder, options)
    }

    /// The same in a folder that already holds files the configuration names.
    ///
    /// # Panics
    /// With what it logged, if it ends instead.
    pub fn start_in(folder: Folder, options: GatewayOptions) -> Gateway {
        let ready = folder.path().join("ready.json");
        let mut command = Command::new(binary());
        command.current_dir(folder.path()).arg("serve").arg("--ready-file").arg(&ready);
        if !options.config.is_empty() {
            let config = folder.path().join("picket.toml");
            std::fs::write(&config, &options.config).expect("the test's folder is writable");
            command.arg("--config").arg(config);
        }
        command.args(&options.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A backtrace for every error would be measured too.
        command.env_remove("RUST_BACKTRACE");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("stdout is piped"), log.clone());
        collect(child.stderr.take().expect("stderr is piped"), log.clone());

        let mut gateway = Gateway { child, listeners: Vec::new(), admin: None, folder, log };
        gateway.wait_until("it is ready", |gateway| {
            if let Some(status) = gateway.child.try_wait().expect("the child can be waited for") {
                panic!("picket ended with {status}:\n{}", gateway.log().join("\n"));
            }
            ready.is_file()
        });
        let text = std::fs::read_to_string(&ready).expect("the ready file is readable");
        let parsed: Ready = serde_json::from_str(&text).expect("the ready file is what it should be");
        gateway.listeners = parsed.listeners;
        gateway.admin = parsed.admin;
        gateway
    }

    /// The address of its first listener.
    pub fn address(&self) -> SocketAddr {
        self.listeners[0]
    }

    /// The addresses of all listeners, in the order of the configuration.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The address of the admin listener.
    ///
    /// # Panics
    /// If the configuration has none.
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("the configuration has an admin listener")
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All lines it has printed so far.
    ///
    /// # Panics
    /// If a reader thread panicked.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("readers do not panic").clone()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `HUP`, `TERM`, …
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: &str) {
        // The shell's own `kill`: no system has it elsewhere.
        run(Command::new("sh").arg("-c").arg(format!("kill -{signal} {}", self.id())));
    }

    /// The most memory it ever had resident, in bytes.
    ///
    /// # Panics
    /// Where there is no `/proc`.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("/proc is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel counts it");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kilobytes * 1024
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be waited for")
    }

    /// Waits until `condition` holds.
    ///
    /// # Panics
    /// With `what` and the log, if it does not within [`WAIT`].
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Gateway) -> bool) {
        let limit = Instant::now() + WAIT;
        while !condition(self) {
            assert!(Instant::now() < limit, "{what}: not within {WAIT:?}\n{}", self.log().join("\n"));
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Waits for a line of the log that `wanted` accepts, and returns it.
    ///
    /// # Panics
    /// With `what` and the log, if none comes within [`WAIT`].
    pub fn wait_for_line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut found = None;
        self.wait_until(what, |gateway| {
            found = gateway.log().into_iter().find(|line| wanted(line));
            found.is_some()
        });
        found.expect("the wait ends when it is found")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log().join("\n"));
        }
    }
}

#[derive(serde::Deserialize)]
struct Ready {
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
}

fn collect(stream: impl std::io::Read + Send + 'static, log: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            match log.lock() {
                Ok(mut log) => log.push(line),
                Err(_) => return,
            }
        }
    });
}

/// A folder of a test's own, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty folder.
    ///
    /// # Panics
    /// If it cannot be made.
    #[expect(clippy::new_without_default, reason = "making a folder is no default")]
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("picket-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Folder(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The `picket` binary of the profile this test was built with: the gateway's own `main`, which is
/// also a binary of this package, so that cargo has built it before any test runs. `PICKET_BIN` names
/// a binary to take instead.
///
/// # Panics
/// If it is not there.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("PICKET_BIN") {
            return PathBuf::from(path);
        }
        // The test runs as <target>/<profile>/deps/<name>-<hash>.
        let test = std::env::current_exe().expect("a process knows its executable");
        let profile = test.ancestors().nth(2).expect("test binaries lie in <profile>/deps");
        let binary = profile.join("picket-under-test").with_extension(std::env::consts::EXE_EXTENSION);
        assert!(binary.is_file(), "cargo has not built {}", binary.display());
        binary
    })
}
