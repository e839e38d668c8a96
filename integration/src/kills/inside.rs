//! Sockets in another network namespace: a thread goes there, and what it opens stays there.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::lab::Namespace;
use crate::lab::netns::NAMESPACES;

/// Runs `work` in a thread of the namespace, on a runtime of that thread. Threads that it starts are there too.
///
/// # Errors
/// When there is no such namespace, no leave to enter it, or no thread.
pub fn spawn<T, W>(namespace: &Namespace, work: W) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    W: AsyncFnOnce() -> T + Send + 'static,
{
    let handle = File::open(Path::new(NAMESPACES).join(namespace.name()))?;
    let (entered, outcome) = std::sync::mpsc::sync_channel(1);
    let enter = move || -> io::Result<tokio::runtime::Runtime> {
        move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    };
    let thread = std::thread::Builder::new().name(namespace.label().to_owned()).spawn(move || {
        let runtime = match enter() {
            Ok(runtime) => runtime,
            Err(error) => {
                // The caller waits for this.
                let _ = entered.send(Err(error));
                return None;
            }
        };
        let _ = entered.send(Ok(()));
        Some(runtime.block_on(work()))
    })?;
    outcome.recv().map_err(|_| io::Error::other("the thread has ended"))??;
    std::thread::Builder::new().spawn(move || match thread.join() {
        Ok(Some(value)) => value,
        Ok(None) => unreachable!("an error was reported and returned above"),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
