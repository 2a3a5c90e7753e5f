//! The supervisor's end of the control socket.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Board, LabPhase, Message, Request};

/// Longest request that is read.
const REQUEST_LIMIT: u64 = 4096;

/// Why a lab is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lab) enum StopReason {
    /// A command asked for it.
    Asked,
    /// It was starting, and nobody watched any more.
    Abandoned,
}

/// How many commands follow, and how many ever did.
#[derive(Clone, Copy, Default)]
struct Followers {
    now: usize,
    ever: usize,
}

/// Where requests arrive. Cheap to clone.
#[derive(Clone)]
pub(in crate::lab) struct Desk {
    board: Arc<Board>,
    stop: watch::Sender<Option<StopReason>>,
    followers: watch::Sender<Followers>,
    connections: TaskTracker,
}

impl Desk {
    /// A desk that tells what is on `board`.
    pub(in crate::lab) fn new(board: Arc<Board>) -> Self {
        Self {
            board,
            stop: watch::Sender::new(None),
            followers: watch::Sender::default(),
            connections: TaskTracker::new(),
        }
    }

    /// Waits until the lab is to stop.
    pub(in crate::lab) async fn stop_requested(&self) -> StopReason {
        let mut stop = self.stop.subscribe();
        match stop
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| *reason)
        {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Waits until somebody came to be told everything, be it that they have left again.
    pub(in crate::lab) async fn somebody_came(&self) {
        // It can't be closed: this desk holds the sender.
        drop(
            self.followers
                .subscribe()
                .wait_for(|followers| followers.ever > 0)
                .await,
        );
    }

    /// Asks for a stop.
    pub(in crate::lab) fn request_stop(&self, reason: StopReason) {
        self.stop.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }

    /// Waits until everybody was told everything.
    pub(in crate::lab) async fn all_told(&self) {
        self.connections.close();
        self.connections.wait().await;
    }

    /// Counts a follower out, and gives up a lab that is starting for nobody.
    fn leave(&self) -> usize {
        self.followers.send_modify(|followers| followers.now -= 1);
        let others = self.followers.borrow().now;
        if others == 0 && self.board.snapshot().phase == LabPhase::Starting {
            self.request_stop(StopReason::Abandoned);
        }
        others
    }
}

/// Answers requests for as long as it is polled.
pub(in crate::lab) async fn serve(listener: UnixListener, desk: Desk) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = answer(stream, desk.clone());
                desk.connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a command went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket can't accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, desk: Desk) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    (&mut reader).take(REQUEST_LIMIT).read_line(&mut line).await?;
    match serde_json::from_str(&line)? {
        Request::Status => send(&mut writer, &Message::Snapshot(Box::new(desk.board.snapshot()))).await,
        Request::Stop => {
            desk.request_stop(StopReason::Asked);
            tell(&mut writer, None, &desk).await
        }
        Request::Watch => {
            desk.followers.send_modify(|followers| {
                followers.now += 1;
                followers.ever += 1;
            });
            let mut follower = Some(reader);
            let outcome = tell(&mut writer, Some(&mut follower), &desk).await;
            if follower.is_some() {
                desk.leave();
            }
            outcome
        }
    }
}

/// Tells everything that happened and happens. When the `follower` ends its half of the connection, it is taken and
/// counted out.
async fn tell(
    writer: &mut OwnedWriteHalf,
    mut follower: Option<&mut Option<BufReader<OwnedReadHalf>>>,
    desk: &Desk,
) -> io::Result<()> {
    let (told, coming) = desk.board.listen();
    for message in told {
        send(writer, &message).await?;
    }
    let Some(mut coming) = coming else {
        return Ok(());
    };
    loop {
        let message = tokio::select! {
            () = hang_up(&mut follower) => Message::Left { others: desk.leave() },
            message = coming.recv() => match message {
                Ok(message) => message,
                Err(RecvError::Closed) => return Ok(()),
                // What was missed is in the past; how things are now is what counts.
                Err(RecvError::Lagged(_)) => Message::Snapshot(Box::new(desk.board.snapshot())),
            },
        };
        send(writer, &message).await?;
    }
}

/// Waits until the follower ends its half of the connection, and takes it then. For ever when there is none.
async fn hang_up(follower: &mut Option<&mut Option<BufReader<OwnedReadHalf>>>) {
    let Some(Some(reader)) = follower.as_mut().map(|follower| follower.as_mut()) else {
        return std::future::pending().await;
    };
    let mut rest = [0; 64];
    while reader.read(&mut rest).await.is_ok_and(|count| count > 0) {}
    if let Some(follower) = follower {
        **follower = None;
    }
}

async fn send(writer: &mut OwnedWriteHalf, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
