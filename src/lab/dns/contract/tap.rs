//! Something in between that passes everything on and remembers what was asked for. At one message it may be the end of whoever
//! asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// OPCODE of a query (RFC 1035, section 4.1.1).
pub(super) const QUERY: u8 = 0;

/// When whoever asks comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the message is with the server.
    Before,
    /// After the server has answered, and before the answer arrives.
    After,
}

pub(super) struct Tap {
    /// Where it listens.
    pub(super) address: String,
    wire: Arc<Wire>,
    _running: JoinSet<()>,
}

struct Wire {
    server: String,
    operations: Mutex<Vec<u8>>,
    end: Option<(usize, Moment)>,
    ended: Notify,
}

impl Tap {
    /// Passes everything on.
    pub(super) async fn before(server: &str) -> Self {
        Self::ending(server, None).await
    }

    /// Passes everything on up to the message of that number, counted from nought.
    pub(super) async fn ending(server: &str, end: Option<(usize, Moment)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).await.unwrap();
        let wire = Arc::new(Wire {
            server: server.to_owned(),
            operations: Mutex::default(),
            end,
            ended: Notify::new(),
        });
        let mut running = JoinSet::new();
        running.spawn(by_udp(socket, Arc::clone(&wire)));
        running.spawn(by_tcp(listener, Arc::clone(&wire)));
        Self {
            address: address.to_string(),
            wire,
            _running: running,
        }
    }

    /// The operation of every message so far.
    pub(super) fn operations(&self) -> Vec<u8> {
        self.wire.operations.lock().unwrap().clone()
    }

    /// When the message came at which it ends.
    pub(super) async fn ended(&self) {
        self.wire.ended.notified().await;
    }
}

impl Wire {
    /// Whether a message is passed on, and whether its answer is.
    fn takes(&self, message: &[u8]) -> (bool, bool) {
        let mut operations = self.operations.lock().unwrap();
        let number = operations.len();
        operations.push(message[2] >> 3 & 0xf);
        match self.end {
            Some((end, Moment::Before)) if number == end => (false, false),
            Some((end, Moment::After)) if number == end => (true, false),
            _ => (true, true),
        }
    }
}

async fn by_udp(socket: UdpSocket, wire: Arc<Wire>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let (is_passed, is_answered) = wire.takes(&buffer[..length]);
        if is_passed {
            let onwards = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            onwards.send_to(&buffer[..length], &wire.server).await.unwrap();
            let length = onwards.recv(&mut buffer).await.unwrap();
            if is_answered {
                socket.send_to(&buffer[..length], from).await.unwrap();
                continue;
            }
        }
        wire.ended.notify_one();
    }
}

async fn by_tcp(listener: TcpListener, wire: Arc<Wire>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(pass_on(stream, Arc::clone(&wire)));
    }
}

async fn pass_on(mut stream: TcpStream, wire: Arc<Wire>) {
    let mut onwards = TcpStream::connect(&wire.server).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.unwrap();
    let (is_passed, is_answered) = wire.takes(&message);
    if is_passed {
        onwards.write_u16(length).await.unwrap();
        onwards.write_all(&message).await.unwrap();
        if is_answered {
            tokio::io::copy_bidirectional(&mut onwards, &mut stream)
                .await
                .ok();
            return;
        }
        onwards.read_u16().await.unwrap();
    }
    wire.ended.notify_one();
    // The connection stays: nobody is there any more who could close it.
    std::future::pending::<()>().await;
}
