//! The journal as somebody reads it who follows it: event by event, as they come to the disk.

use proto::event::NumberedEvent;
use tokio::sync::watch;

use super::{Core, Stopped, View};

/// Where a reader of the journal stands.
#[derive(Debug)]
pub struct Tail {
    core: Core,
    view: watch::Receiver<View>,
    /// Everything up to this one was read, or was gone before: the controller had it.
    after: u64,
}

impl Tail {
    /// Begins with the oldest event that waits for the controller.
    #[must_use]
    pub fn new(core: &Core) -> Self {
        Self { core: core.clone(), view: core.view(), after: 0 }
    }

    /// The next events, one at least and `limit` at most. Sleeps while there is none.
    ///
    /// # Errors
    /// When the core has stopped.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<NumberedEvent>, Stopped> {
        loop {
            // Before the question: what comes to the disk after it is looked at again.
            let last = self.view.borrow_and_update().last_event;
            let events = self.core.events(self.after, limit).await?;
            if let Some(newest) = events.last() {
                self.after = newest.number;
                return Ok(events);
            }
            self.after = self.after.max(last);
            let after = self.after;
            self.view.wait_for(|view| view.last_event > after).await.map_err(|_| Stopped)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicU64};

    use proto::{
        Incarnation, Wall,
        event::{Event, EventKind},
    };
    use tokio::sync::mpsc;

    use super::{
        super::{Command, Epoch},
        *,
    };

    /// A core of which nothing works but its questions.
    fn core(last_event: u64) -> (Core, mpsc::Receiver<Command>, watch::Sender<View>) {
        let (commands, asked) = mpsc::channel(4);
        let (out, view) = watch::channel(View { last_event, ..View::default() });
        let (incarnation, asks, epoch) =
            (Incarnation([0; 16]), Arc::new(AtomicU64::new(1)), Epoch::default());
        let counts = Arc::default();
        (Core { commands, view, incarnation, asks, epoch, counts }, asked, out)
    }

    /// Answers one question for events with those of these numbers; what was asked for.
    async fn answer(asked: &mut mpsc::Receiver<Command>, numbers: &[u64]) -> u64 {
        let Some(Command::Events { after, reply, .. }) = asked.recv().await else { panic!("not a question") };
        let kind = EventKind::OsUp { address: None };
        let event = Event { at: Wall(0), attempt: None, host: None, mac: None, kind };
        let events = numbers.iter().map(|number| NumberedEvent { number: *number, event: event.clone() });
        reply.send(events.collect()).expect("it is waited for");
        after
    }

    #[tokio::test]
    async fn who_has_read_all_of_a_journal_that_was_acknowledged_sleeps_until_the_next_event() {
        let (core, mut asked, view) = core(7);
        let mut tail = Tail::new(&core);
        let reading = tokio::spawn(async move { tail.next(10).await });
        assert_eq!(answer(&mut asked, &[]).await, 0, "all seven were acknowledged");
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(asked.try_recv().is_err(), "nothing has come, and it asks again");
        }
        view.send_modify(|view| view.last_event = 8);
        assert_eq!(answer(&mut asked, &[8]).await, 7);
        let read = reading.await.expect("no panic").expect("the core runs");
        assert_eq!(read.iter().map(|event| event.number).collect::<Vec<_>>(), [8]);
    }
}
