//! A command's end of the control socket.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{Message, Request};
use crate::lab::state::StateDirectory;

/// A conversation with the supervisor of a lab.
pub(in crate::lab) struct Connection {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
    /// Read ahead.
    first: Option<Message>,
}

impl Connection {
    /// Connects to the supervisor of the lab in `directory` and sends `request`; `None` when no supervisor answers
    /// there.
    pub(in crate::lab) async fn open(
        directory: &StateDirectory,
        request: Request,
    ) -> io::Result<Option<Self>> {
        let stream = match UnixStream::connect(directory.socket()).await {
            // Hung up: it ended while we waited to be let in.
            Err(error) if is_nobody_there(&error) || is_hung_up(&error) => return Ok(None),
            other => other?,
        };
        let (reader, mut writer) = stream.into_split();
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        match writer.write_all(&line).await {
            // It ended between our connecting and our asking.
            Err(error) if is_hung_up(&error) => return Ok(None),
            other => other?,
        }
        Ok(Some(Self {
            lines: BufReader::new(reader).lines(),
            writer,
            first: None,
        }))
    }

    /// Waits for the first message without taking it; tells whether it came. It does not when a supervisor ends
    /// just now: until then, the system accepts connections in its name.
    pub(in crate::lab) async fn is_answered(&mut self) -> io::Result<bool> {
        self.first = self.next().await?;
        Ok(self.first.is_some())
    }

    /// The next message; `None` when the supervisor has nothing more to tell.
    pub(in crate::lab) async fn next(&mut self) -> io::Result<Option<Message>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.lines.next_line().await {
            // The supervisor was killed: the same as an end, seen by the phase that came last.
            Err(error) if is_hung_up(&error) => Ok(None),
            Err(error) => Err(error),
            Ok(None) => Ok(None),
            Ok(Some(line)) => match serde_json::from_str(&line) {
                // Half a line: it was killed while it wrote.
                Err(error) if error.is_eof() => Ok(None),
                other => Ok(Some(other?)),
            },
        }
    }

    /// Says that we do not follow any more. The answer, [`Message::Left`], comes by [`Connection::next`].
    pub(in crate::lab) async fn leave(&mut self) -> io::Result<()> {
        match self.writer.shutdown().await {
            // It has ended already; the next message says so.
            Err(error) if is_hung_up(&error) || error.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other,
        }
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn is_hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
