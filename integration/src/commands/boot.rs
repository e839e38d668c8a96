//! `cargo lab boot`: virtual machines with real firmware, case by case.
//!
//! A case is a function that sets up its own network, servers and machines, judges by packets and serial
//! consoles, and takes everything away again. It bounds its own waits; `cargo lab test` bounds the whole.

use std::time::{Duration, Instant};

use anyhow::bail;
use integration::lab::LabFolder;

use super::Verdict;
use super::console::Console;
use super::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The cases to run, in this order.
    #[arg(value_name = "CASE", required_unless_present = "list")]
    cases: Vec<String>,
    /// Prints what there is, and runs nothing.
    #[arg(long)]
    list: bool,
    /// Runs the list so many times.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
}

/// One way of booting.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in a line.
    about: &'static str,
    /// The longest that it may take, with everything around it.
    pub(crate) bound: Duration,
    /// What to do; `None` where it is not written yet.
    run: Option<fn(&LabFolder, &Console) -> anyhow::Result<()>>,
}

/// The cases that every change must pass, in the order of `cargo lab test`.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "bios-ipxe",
        about: "SeaBIOS and the card's iPXE ROM load a script, a kernel and an initrd over HTTP",
        bound: Duration::from_secs(180),
        run: None,
    },
    Case {
        name: "uefi-pxe",
        about: "OVMF loads iPXE by TFTP, and the rest over HTTP",
        bound: Duration::from_secs(240),
        run: None,
    },
    Case {
        name: "local-disk",
        about: "without an order a machine starts from its own disk, and so does an unknown one",
        bound: Duration::from_secs(240),
        run: None,
    },
    Case {
        name: "disk-image-install",
        about: "an image is streamed to the disk, verified and reported; then the machine starts from it",
        bound: Duration::from_secs(300),
        run: None,
    },
    Case {
        name: "debian-preseed",
        about: "the Debian installer fetches its rendered preseed and calls back",
        bound: Duration::from_secs(300),
        run: None,
    },
    Case {
        name: "controller-down",
        about: "the controller is killed before power-on: the machine installs, the timeline arrives later",
        bound: Duration::from_secs(300),
        run: None,
    },
    Case {
        name: "agent-restart",
        about: "the agent is killed while a machine boots, and nothing is lost",
        bound: Duration::from_secs(300),
        run: None,
    },
];

/// Lists or runs cases. All are run, also behind one that failed; the last line counts.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    if arguments.list {
        list(console);
        return Ok(Verdict::Passed);
    }
    let cases = arguments.cases.iter().map(|name| find(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let lab = setup::prepare(console)?;
    let (mut passed, mut failed) = (0_u32, 0_u32);
    for _ in 0..arguments.times {
        for case in &cases {
            *if boot(case, &lab, console) { &mut passed } else { &mut failed } += 1;
        }
    }
    console.line(format!("{passed} passed, {failed} failed"));
    Ok(Verdict::of(failed == 0))
}

fn list(console: &Console) {
    for case in CASES {
        let missing = if case.run.is_none() { " (not there yet)" } else { "" };
        console.line(format!("{:20} {}{missing}", case.name, case.about));
    }
}

fn find(name: &str) -> anyhow::Result<&'static Case> {
    match CASES.iter().find(|case| case.name == name) {
        Some(case) => Ok(case),
        None => bail!("no case is called `{name}`; `cargo lab boot --list` names all"),
    }
}

/// Whether the case passed; its time and its failure are printed.
fn boot(case: &Case, lab: &LabFolder, console: &Console) -> bool {
    console.line(format!("{}: {}", case.name, case.about));
    let began = Instant::now();
    let outcome = match case.run {
        Some(run) => run(lab, console),
        None => Err(anyhow::anyhow!("not there yet: boot {}", case.name)),
    };
    let seconds = began.elapsed().as_secs_f32();
    match &outcome {
        Ok(()) => console.line(format!("{}: ok, {seconds:.1} s", case.name)),
        Err(error) => console.line(format!("{}: FAILED, {seconds:.1} s: {error:#}", case.name)),
    }
    outcome.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for case in CASES {
            assert_eq!(CASES.iter().filter(|other| other.name == case.name).count(), 1, "{}", case.name);
            assert_eq!(find(case.name).expect("it is in the list").about, case.about);
        }
        let error = find("warp-drive").expect_err("no such case").to_string();
        assert!(error.contains("warp-drive") && error.contains("--list"), "{error}");
    }
}
