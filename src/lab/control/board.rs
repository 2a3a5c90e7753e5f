//! What the supervisor has to tell, and everybody who listens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::{LabPhase, Message, Snapshot};
use crate::report::{Event, Reporter};

/// How many messages a slow listener may be behind before it misses some.
const BACKLOG: usize = 4096;

/// How many events are kept of a lab that is up and that nobody asks about.
const KEPT: usize = 64;

/// The current state and what led there. Listeners who come late are told both. What happens to a lab that is up is
/// told once, to the first who asks.
pub(in crate::lab) struct Board {
    inner: Mutex<Inner>,
}

struct Inner {
    snapshot: Snapshot,
    history: Vec<Event>,
    /// `None` once everything is told.
    listeners: Option<broadcast::Sender<Message>>,
}

impl Board {
    /// A board that shows `snapshot`.
    pub(in crate::lab) fn new(snapshot: Snapshot) -> Self {
        Self {
            inner: Mutex::new(Inner {
                snapshot,
                history: Vec::new(),
                listeners: Some(broadcast::Sender::new(BACKLOG)),
            }),
        }
    }

    /// How things are.
    pub(in crate::lab) fn snapshot(&self) -> Snapshot {
        self.inner().snapshot.clone()
    }

    /// Changes how things are, and tells everybody.
    pub(in crate::lab) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut inner = self.inner();
        let was_up = inner.is_up();
        change(&mut inner.snapshot);
        if inner.is_up() && !was_up {
            inner.history.clear();
        }
        let message = Message::Snapshot(Box::new(inner.snapshot.clone()));
        inner.tell(message);
    }

    /// Everything told so far in short, and a receiver of everything that comes.
    pub(super) fn listen(&self) -> (Vec<Message>, Option<broadcast::Receiver<Message>>) {
        let mut inner = self.inner();
        let mut messages: Vec<Message> = inner.history.iter().cloned().map(Message::Event).collect();
        if inner.is_up() {
            inner.history.clear();
        }
        messages.push(Message::Snapshot(Box::new(inner.snapshot.clone())));
        (
            messages,
            inner.listeners.as_ref().map(broadcast::Sender::subscribe),
        )
    }

    /// Ends the stream of every listener after what was told so far.
    pub(in crate::lab) fn close(&self) {
        self.inner().listeners = None;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Board {
    fn report(&self, event: Event) {
        let mut inner = self.inner();
        inner.remember(&event);
        inner.tell(Message::Event(event));
    }
}

impl Inner {
    fn tell(&self, message: Message) {
        if let Some(listeners) = &self.listeners {
            // Nobody listening is no fault.
            drop(listeners.send(message));
        }
    }

    const fn is_up(&self) -> bool {
        matches!(self.snapshot.phase, LabPhase::Ready)
    }

    /// Keeps of each task when it began, how far it is or how it ended, its notes and warnings.
    fn remember(&mut self, event: &Event) {
        if self.is_up() && self.history.len() == KEPT {
            self.history.remove(0);
        }
        let is_passing = |event: &Event| matches!(event, Event::Waiting { .. } | Event::Progress { .. });
        if !matches!(event, Event::Noted { .. } | Event::Warned { .. }) {
            self.history
                .retain(|past| past.task() != event.task() || !is_passing(past));
        }
        self.history.push(event.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::LabName;
    use crate::report::{Task, Unit};

    fn board() -> Board {
        Board::new(Snapshot::new(LabName::new("default").unwrap()))
    }

    #[test]
    fn test_who_comes_late_is_told_in_short_what_happened() {
        let board = board();
        let task = Task::start(&board, "etcd", "building");
        task.progress(1, Some(9), Unit::Packages);
        task.progress(2, Some(9), Unit::Packages);
        task.warn("slow");
        let (messages, _) = board.listen();
        let told: Vec<String> = messages
            .iter()
            .map(|message| serde_json::to_string(message).unwrap())
            .collect();
        assert_eq!(told.len(), 4, "{told:?}");
        assert_eq!(
            told[1],
            r#"{"event":{"event":"progress","task":"etcd","done":2,"total":9,"unit":"packages"}}"#
        );
        assert_eq!(serde_json::from_str::<Message>(&told[3]).unwrap(), messages[3]);
    }

    #[test]
    fn test_what_happens_to_a_lab_that_is_up_is_told_once() {
        let board = board();
        let task = Task::start(&board, "etcd", "building");
        board.update(|snapshot| snapshot.phase = LabPhase::Ready);
        for _ in 0..2 * KEPT {
            task.warn("ended unasked");
        }
        board.update(|snapshot| snapshot.lotse = "x".to_owned());
        assert_eq!(board.listen().0.len(), KEPT + 1);
        let (messages, _) = board.listen();
        assert!(matches!(messages[..], [Message::Snapshot(_)]), "{messages:?}");
    }

    #[tokio::test]
    async fn test_listeners_are_told_everything_before_the_end() {
        let board = board();
        let (_, receiver) = board.listen();
        board.update(|snapshot| snapshot.lotse = "x".to_owned());
        board.close();
        let mut receiver = receiver.unwrap();
        assert!(matches!(receiver.recv().await, Ok(Message::Snapshot(snapshot)) if snapshot.lotse == "x"));
        assert!(receiver.recv().await.is_err());
        assert!(board.listen().1.is_none());
    }
}
