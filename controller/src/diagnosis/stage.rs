//! The stages of a boot.

use std::time::Duration;

use proto::Wall;

/// What a stage is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The ROM asks for an address, and at the boot service for what to boot.
    RomAddress,
    /// The network bootstrap program, and what it loads of itself.
    Loader,
    /// The loader asks for an address.
    LoaderAddress,
    /// What the loader runs: a script, a configuration, a menu.
    Script,
    /// Kernel and initial RAM disks.
    Kernel,
    /// From the hand-over to a kernel or to the disk until something is heard of what runs then.
    System,
    /// The answer file.
    AnswerFile,
    /// From the answer file to the installer's end; image bytes among it.
    Installation,
}

impl Step {
    /// All of them, in the order of a boot.
    pub const ALL: [Self; 8] = [
        Self::RomAddress,
        Self::Loader,
        Self::LoaderAddress,
        Self::Script,
        Self::Kernel,
        Self::System,
        Self::AnswerFile,
        Self::Installation,
    ];

    /// The word in metrics and traces; in kebab case, and it stays what it is.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RomAddress => "rom-address",
            Self::Loader => "loader",
            Self::LoaderAddress => "loader-address",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::System => "system",
            Self::AnswerFile => "answer-file",
            Self::Installation => "installation",
        }
    }

    /// The words for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::RomAddress => "address of the ROM",
            Self::Loader => "loader",
            Self::LoaderAddress => "address of the loader",
            Self::Script => "script",
            Self::Kernel => "kernel and RAM disk",
            Self::System => "start of the system",
            Self::AnswerFile => "answer file",
            Self::Installation => "installation",
        }
    }

    /// After so long without a word at this stage nothing more is expected.
    ///
    /// Firmware asks for an address for about a minute (PXE 2.1 §2.2.3: 4, 8, 16 and 32 s) and a loader that checks a
    /// signature or waits for a link takes as long. Kernels of large machines look at their hardware for minutes, and an
    /// installer may say nothing while it writes a disk.
    #[must_use]
    pub const fn patience(self) -> Duration {
        let seconds = match self {
            Self::RomAddress | Self::Loader | Self::LoaderAddress | Self::Script => 90,
            Self::Kernel | Self::System => 600,
            Self::AnswerFile | Self::Installation => 1_800,
        };
        Duration::from_secs(seconds)
    }
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It has not.
    Open,
    /// As it should.
    Done,
    /// It broke off; why, for people.
    Broken(String),
    /// Nothing was heard any more.
    Silent,
}

impl End {
    /// The word in metrics and traces.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Broken(_) => "broken",
            Self::Silent => "silent",
        }
    }
}

/// One stage of a boot attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSpan {
    /// What for.
    pub step: Step,
    /// By the agent's clock.
    pub began: Wall,
    /// The last that was heard of it; its end, if it has ended.
    pub last: Wall,
    /// How it ended.
    pub end: End,
    /// Bytes that were sent.
    pub bytes: u64,
    /// In so long: transfers alone, which may have gone on side by side.
    pub transfer: Duration,
    /// TFTP blocks sent more than once.
    pub retransmissions: u64,
    /// For people: the address, the last file's name, how far an installation is. Clean, as events are.
    pub detail: String,
}

impl StageSpan {
    /// When it ended; None: it has not, as far as anybody knows.
    #[must_use]
    pub fn ended(&self) -> Option<Wall> {
        match self.end {
            End::Done | End::Broken(_) => Some(self.last),
            End::Open | End::Silent => None,
        }
    }

    /// Bytes a second while something was sent; None where nothing was.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let millis = u64::try_from(self.transfer.as_millis()).ok().filter(|millis| *millis > 0)?;
        (self.bytes > 0).then(|| self.bytes.saturating_mul(1_000) / millis)
    }
}
