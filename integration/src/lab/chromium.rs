//! Chromium without a screen, driven over the DevTools protocol (<https://chromedevtools.github.io/devtools-protocol/>).
//!
//! It is spoken to through two pipes (`--remote-debugging-pipe`): JSON messages, each ended by a zero byte, which Chromium reads from
//! descriptor 3 and writes to descriptor 4. No port is open and no library is needed. Everything of it is in a folder of its own, its
//! home among it, so that what it trusts is what was put there.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Messages that wait to be looked at; Chromium waits then.
const WAITING: usize = 1_024;
/// Makes the two pipes what Chromium expects them to be.
const PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null";

/// What went wrong with Chromium.
#[derive(Debug, thiserror::Error)]
pub enum ChromiumError {
    /// A program could not be started, or its pipes not be used.
    #[error("failed to use {program}; `cargo lab setup` installs it")]
    Run {
        /// Which.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program has failed.
    #[error("{program} has failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// It has ended, or says nothing.
    #[error("chromium gives no answer to {0}")]
    Silent(String),
    /// It refused a command.
    #[error("chromium refuses {method}: {why}")]
    Refused {
        /// The command.
        method: String,
        /// Its words.
        why: String,
    },
    /// What was waited for did not become true.
    #[error("{expression} was not true within {}s; the page says: {page}", PATIENCE.as_secs())]
    Timeout {
        /// What was waited for.
        expression: String,
        /// The text of the page.
        page: String,
    },
}

/// A browser with one window.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    events: VecDeque<Value>,
    session: String,
    number: u64,
}

impl Chromium {
    /// Starts one whose home and profile are in `folder`, and which trusts these root certificates (PEM) besides its own.
    ///
    /// # Errors
    /// [`ChromiumError`].
    pub fn start(folder: &Path, roots: &Path) -> Result<Self, ChromiumError> {
        trust(folder, roots)?;
        let mut child = command(folder).spawn().map_err(run("chromium"))?;
        let commands = child.stdin.take().expect("it is piped, and taken once");
        let output = child.stdout.take().expect("it is piped, and taken once");
        let (sender, messages) = mpsc::sync_channel(WAITING);
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Some(message) = message.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let (events, session) = (VecDeque::new(), String::new());
        let mut chromium = Self { child, commands, messages, events, session, number: 0 };
        chromium.attach()?;
        Ok(chromium)
    }

    fn attach(&mut self) -> Result<(), ChromiumError> {
        let target = self.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", &attach)?;
        self.session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(())
    }

    /// Opens an address as somebody does who types it.
    ///
    /// # Errors
    /// [`ChromiumError`]: it cannot be loaded, for example because its certificate is not trusted.
    pub fn open(&mut self, url: &str) -> Result<(), ChromiumError> {
        let opened = self.call("Page.navigate", &json!({"url": url}))?;
        match opened["errorText"].as_str() {
            Some(why) => Err(ChromiumError::Refused { method: "Page.navigate".into(), why: why.into() }),
            None => self.wait("document.readyState === 'complete' && location.href !== 'about:blank'"),
        }
    }

    /// The value of an expression of the page.
    ///
    /// # Errors
    /// [`ChromiumError`]: it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, ChromiumError> {
        let request = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &request)?;
        match answer.get("exceptionDetails") {
            Some(details) => {
                Err(ChromiumError::Refused { method: expression.into(), why: details.to_string() })
            }
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Waits until an expression of the page is true.
    ///
    /// # Errors
    /// [`ChromiumError::Timeout`].
    pub fn wait(&mut self, expression: &str) -> Result<(), ChromiumError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // While a page is being loaded there is none to ask.
            if self.evaluate(expression).is_ok_and(|value| value == true) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        let page = self.evaluate("document.body.innerText").map(|text| text.to_string()).unwrap_or_default();
        Err(ChromiumError::Timeout { expression: expression.into(), page })
    }

    /// Lets the page be of this size, in pixels, with dark colours or light ones.
    ///
    /// # Errors
    /// [`ChromiumError`].
    pub fn show_as(&mut self, (width, height): (u32, u32), dark: bool) -> Result<(), ChromiumError> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// A picture of what is seen: PNG, in base64.
    ///
    /// # Errors
    /// [`ChromiumError`].
    pub fn picture(&mut self) -> Result<String, ChromiumError> {
        let picture = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        Ok(picture["data"].as_str().unwrap_or_default().to_owned())
    }

    /// All that it has told so far by these methods, in order.
    #[must_use]
    pub fn told(&self, method: &str) -> Vec<&Value> {
        let told = self.events.iter().filter(|event| event["method"] == method);
        told.map(|event| &event["params"]).collect()
    }

    /// Calls a method of the protocol, and keeps what it tells meanwhile.
    fn call(&mut self, method: &str, params: &Value) -> Result<Value, ChromiumError> {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).and_then(|()| self.commands.flush()).map_err(run("chromium"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = match self.messages.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(ChromiumError::Silent(method.into()));
                }
            };
            if answer["id"] != self.number {
                self.events.push_back(answer);
                continue;
            }
            return match answer.get("error") {
                Some(error) => Err(ChromiumError::Refused { method: method.into(), why: error.to_string() }),
                None => Ok(answer["result"].clone()),
            };
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended by itself; its own children end with its pipes.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", PIPES, "sh", "chromium", "--headless=new", "--remote-debugging-pipe"]);
    // Tests run as root, whom its sandbox does not serve; what it shows is ours.
    command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", folder.join("profile").display())).arg("about:blank");
    command.env("HOME", folder).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Puts roots into the certificate store that Chromium reads on Linux: NSS's, in the home.
fn trust(folder: &Path, roots: &Path) -> Result<(), ChromiumError> {
    let store = folder.join(".pki/nssdb");
    std::fs::create_dir_all(&store).map_err(run("chromium"))?;
    let store = format!("sql:{}", store.display());
    let roots: PathBuf = roots.to_owned();
    certutil(Command::new("certutil").args(["-d", &store, "-N", "--empty-password"]))?;
    certutil(Command::new("certutil").args(["-d", &store, "-A", "-t", "C,,", "-n", "fleet", "-i"]).arg(roots))
}

fn certutil(command: &mut Command) -> Result<(), ChromiumError> {
    let output = command.stdin(Stdio::null()).output().map_err(run("certutil"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ChromiumError::Failed { program: "certutil", said })
}

fn run(program: &'static str) -> impl Fn(io::Error) -> ChromiumError {
    move |source| ChromiumError::Run { program, source }
}
