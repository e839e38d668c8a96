//! Starting programs so that none outlives its use.
//!
//! Each child runs as `ip netns exec NS setpriv --pdeathsig TERM timeout -k 5 BOUND setpriv
//! --pdeathsig KILL PROGRAM`: when this process dies the kernel tells `timeout`, which ends the program;
//! `timeout` also ends it when this process hangs; and a record in the run's folder lets
//! [`super::sweep()`] find what is left. Output goes to a file in the run's folder.
//!
//! Two things about the death signal (prctl(2), `PR_SET_PDEATHSIG`). It is sent when the *thread* that
//! started the child ends, not the process; so one thread that never ends starts all children. And
//! it is forgotten when a program changes its user or capabilities, as servers do; `timeout` does not.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::run::{ProcessIdentity, Run};

/// How long a child may run when nothing else is said.
pub const DEFAULT_BOUND: Duration = Duration::from_secs(600);
/// How long [`Process::stop`] waits for a child to obey SIGTERM.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a killed process may take to be gone. Longer, and it hangs in the kernel.
const END_TIMEOUT: Duration = Duration::from_secs(30);
const END_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Failure to start a child.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The log file could not be made.
    #[error("create the log file {path}")]
    Log {
        /// The log file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program could not be started.
    #[error("start {name}")]
    Start {
        /// The name that the launch was given.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The child was started and then stopped, because it could not be recorded.
    #[error("record the process {name} in the run folder")]
    Record {
        /// The name that the launch was given.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

/// A program to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    name: String,
    namespace: Option<String>,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    bound: Duration,
    output: Option<PathBuf>,
    errors: Option<PathBuf>,
    keyboard: bool,
    core: Option<usize>,
}

impl Launch {
    /// `program` under a `name` that its log file and messages carry.
    #[must_use]
    pub fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        Self {
            name: name.into(),
            namespace: None,
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            bound: DEFAULT_BOUND,
            output: None,
            errors: None,
            keyboard: false,
            core: None,
        }
    }

    /// Tells it apart from others of the same name that are started after it: it has a log of its own.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        self.name = format!("{}-{number}", self.name);
        self
    }

    /// Runs it in the network namespace of this full name.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The longest it may run; rounded up to whole seconds.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Sends standard output to `path`; by default both outputs go to `NAME.log` in the run's folder.
    #[must_use]
    pub fn output_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.output = Some(path.into());
        self
    }

    /// Sends the error output to `path`.
    #[must_use]
    pub fn errors_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.errors = Some(path.into());
        self
    }

    /// Keeps standard input open for [`Process::keyboard`]; otherwise it is `/dev/null`.
    #[must_use]
    pub fn with_keyboard(mut self) -> Self {
        self.keyboard = true;
        self
    }

    /// Keeps it, with its threads and children, on one core (by `taskset`).
    #[must_use]
    pub fn on_core(mut self, core: usize) -> Self {
        self.core = Some(core);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When the log cannot be written, or the program, `ip`, `setpriv` or `timeout` cannot be started.
    /// A program that does not exist shows as an exit status of 127 and a line in its log.
    pub fn spawn(self, run: &Run) -> Result<Process, LaunchError> {
        let log = self.errors.clone().unwrap_or_else(|| run.folder().join(format!("{}.log", self.name)));
        let mut command = self.chain();
        let errors = open_log(&log)?;
        let output = match &self.output {
            Some(path) => open_log(path)?,
            None => errors.try_clone().map_err(|source| LaunchError::Log { path: log.clone(), source })?,
        };
        command.stdout(output).stderr(errors);
        let child =
            start(command).map_err(|source| LaunchError::Start { name: self.name.clone(), source })?;
        Process::adopt(child, self.name, log, run)
    }

    fn chain(&self) -> Command {
        use std::os::unix::process::CommandExt as _;

        let bound = self.bound.as_secs() + u64::from(self.bound.subsec_nanos() > 0);
        let mut words: Vec<OsString> = Vec::new();
        if let Some(namespace) = &self.namespace {
            words.extend(["ip", "netns", "exec", namespace].map(OsString::from));
        }
        words.extend(["setpriv", "--pdeathsig", "TERM", "timeout", "-k", "5"].map(OsString::from));
        words.push(bound.to_string().into());
        words.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
        if let Some(core) = self.core {
            words.extend(["taskset", "-c", &core.to_string()].map(OsString::from));
        }
        words.push(self.program.clone());
        words.extend(self.arguments.iter().cloned());

        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(if self.keyboard { Stdio::piped() } else { Stdio::null() })
            // An own group: one signal reaches the whole chain, and the terminal's Ctrl-C only us.
            .process_group(0);
        command
    }
}

fn open_log(path: &Path) -> Result<File, LaunchError> {
    let open = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        File::options().create(true).append(true).open(path)
    };
    open().map_err(|source| LaunchError::Log { path: path.to_owned(), source })
}

type StartRequest = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child from the one thread that lives as long as the process (see the top of this file).
fn start(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<mpsc::Sender<StartRequest>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<StartRequest>();
        std::thread::spawn(move || {
            for (mut command, reply) in requests {
                // The asker waits for the reply; it can only be gone if its thread was killed.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts children is gone");
    starter.send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// A running child. Dropping it stops it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    identity: ProcessIdentity,
    log: PathBuf,
    run: Run,
}

impl Process {
    fn adopt(mut child: Child, name: String, log: PathBuf, run: &Run) -> Result<Self, LaunchError> {
        let recorded = i32::try_from(child.id())
            .ok()
            .and_then(ProcessIdentity::of)
            .ok_or_else(|| io::Error::other("it ended at once"))
            .and_then(|identity| run.record(identity, &name).map(|()| identity));
        match recorded {
            Ok(identity) => Ok(Self { name, child, identity, log, run: run.clone() }),
            Err(source) => {
                // Nobody could ever find it again, so it must not stay.
                let _ = child.kill();
                let _ = child.wait();
                Err(LaunchError::Record { name, source })
            }
        }
    }

    /// The name that the launch was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its error output (and, unless it was sent elsewhere, its output) goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The number of the program itself, behind `timeout`; for `/proc/PID/status` and the like.
    #[must_use]
    pub fn program_pid(&self) -> Option<i32> {
        let outer = self.identity.pid;
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).ok()?;
        children.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Its standard input, if it was launched with one.
    pub fn keyboard(&mut self) -> Option<&mut ChildStdin> {
        self.child.stdin.as_mut()
    }

    /// Its exit status, once it has ended. 124 means that its bound was reached.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end, for at most `timeout`.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends `signal` to the program itself.
    pub fn signal(&self, signal: Signal) {
        let pid = self.program_pid().unwrap_or(self.identity.pid);
        if let Some(pid) = Pid::from_raw(pid) {
            // It may have ended between the two calls; then there is nobody left to tell.
            let _ = kill_process(pid, signal);
        }
    }

    /// Asks it to end, and after [`STOP_GRACE`] makes it.
    pub fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            let _ = self.wait(STOP_GRACE);
        }
        self.kill();
    }

    /// Ends it at once (`kill -9`), with everything it started in its process group. When this returns the program
    /// is gone with its files and locks, so that the next life can take them. Says whether it had lived until then.
    pub fn kill(&mut self) -> bool {
        let program = self.program_pid().and_then(ProcessIdentity::of);
        let lived = program.is_some_and(|program| program.is_alive());
        if matches!(self.child.try_wait(), Ok(None)) {
            if let Some(group) = Pid::from_raw(self.identity.pid) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.wait();
        }
        if let Some(program) = program {
            wait_for_end(program);
        }
        self.run.forget(self.identity);
        lived
    }
}

/// A child that was killed is reaped by its parent; the program behind it by nobody here, and it lets go of its files
/// and locks last of all.
pub(super) fn wait_for_end(process: ProcessIdentity) {
    let until = Instant::now() + END_TIMEOUT;
    while process.is_alive() && Instant::now() < until {
        std::thread::sleep(END_POLL_INTERVAL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::folder::LabFolder;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn run() -> (tempfile::TempDir, Run) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = Run::begin(&LabFolder::at(folder.path())).expect("begun");
        (folder, run)
    }

    fn shell(line: &str) -> Launch {
        Launch::new("shell", "sh").args(["-c", line])
    }

    fn records(run: &Run) -> usize {
        fs::read_dir(run.folder().join(super::super::run::PROCESSES)).expect("made").count()
    }

    fn wait_for_text(path: &Path) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.ends_with('\n') || Instant::now() >= until {
                return text;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    #[test]
    fn both_outputs_and_the_exit_status_are_kept() {
        let (_folder, run) = run();
        let mut process = shell("echo out; echo err >&2; exit 3").spawn(&run).expect("started");
        let status = process.wait(PATIENCE).expect("known").expect("ended");
        assert_eq!(status.code(), Some(3));
        assert_eq!(fs::read_to_string(process.log()).expect("there"), "out\nerr\n");
    }

    #[test]
    fn a_program_that_overstays_its_bound_is_ended() {
        let (_folder, run) = run();
        let mut process =
            shell("exec sleep 60").bound(Duration::from_millis(300)).spawn(&run).expect("started");
        let status = process.wait(PATIENCE).expect("known").expect("ended");
        assert_eq!(status.code(), Some(124));
    }

    #[test]
    fn a_killed_process_is_gone_with_its_children_and_its_record() {
        let (_folder, run) = run();
        // A shell that ignores SIGTERM and starts a child of its own.
        let mut process = shell("trap '' TERM; sleep 60 & echo $!; wait").spawn(&run).expect("started");
        let child: i32 = wait_for_text(process.log()).trim().parse().expect("a number");
        let child = ProcessIdentity::of(child).expect("it runs");
        assert_eq!(records(&run), 1);
        let program = process.program_pid().and_then(ProcessIdentity::of).expect("it runs");
        assert!(process.kill(), "it lived");
        assert!(!program.is_alive(), "gone when the call returns");
        wait_for_end(child);
        assert!(!child.is_alive());
        assert_eq!(records(&run), 0);
    }

    #[test]
    fn whether_it_had_lived_is_told() {
        let (_folder, run) = run();
        let mut process = shell("exit 0").spawn(&run).expect("started");
        process.wait(PATIENCE).expect("known").expect("ended");
        assert!(!process.kill());
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let (_folder, run) = run();
        let process = std::thread::scope(|scope| {
            scope
                .spawn(|| shell("echo up; exec sleep 60").spawn(&run).expect("started"))
                .join()
                .expect("no panic")
        });
        assert_eq!(wait_for_text(process.log()), "up\n");
        let mut process = process;
        assert!(process.wait(Duration::from_millis(200)).expect("known").is_none());
    }

    #[test]
    fn signals_and_keys_reach_the_program_itself() {
        let (_folder, run) = run();
        let mut process = shell("trap 'echo told; exit 5' USR1; echo up; read key; echo $key; read key")
            .with_keyboard()
            .spawn(&run)
            .expect("started");
        assert_eq!(wait_for_text(process.log()), "up\n");
        io::Write::write_all(process.keyboard().expect("asked for"), b"key\n").expect("typed");
        let until = Instant::now() + PATIENCE;
        while wait_for_text(process.log()) == "up\n" && Instant::now() < until {
            std::thread::sleep(POLL_INTERVAL);
        }
        process.signal(Signal::USR1);
        let status = process.wait(PATIENCE).expect("known").expect("ended");
        assert_eq!(status.code(), Some(5));
        assert_eq!(fs::read_to_string(process.log()).expect("there"), "up\nkey\ntold\n");
    }
}
