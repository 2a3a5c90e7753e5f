//! Something in between that passes everything on, and remembers what was asked for.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// OPCODE of a query (RFC 1035, section 4.1.1).
pub(super) const QUERY: u8 = 0;

pub(super) struct Tap {
    /// Where it listens.
    pub(super) address: String,
    operations: Arc<Mutex<Vec<u8>>>,
    _running: JoinSet<()>,
}

impl Tap {
    pub(super) async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = UdpSocket::bind(address).await.unwrap();
        let operations = Arc::new(Mutex::new(Vec::new()));
        let mut running = JoinSet::new();
        running.spawn(by_udp(socket, server.to_owned(), Arc::clone(&operations)));
        running.spawn(by_tcp(listener, server.to_owned(), Arc::clone(&operations)));
        Self {
            address: address.to_string(),
            operations,
            _running: running,
        }
    }

    /// The operation of every message so far.
    pub(super) fn operations(&self) -> Vec<u8> {
        self.operations.lock().unwrap().clone()
    }
}

fn remember(operations: &Mutex<Vec<u8>>, message: &[u8]) {
    operations.lock().unwrap().push(message[2] >> 3 & 0xf);
}

async fn by_udp(socket: UdpSocket, server: String, operations: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        remember(&operations, &buffer[..length]);
        let onwards = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        onwards.send_to(&buffer[..length], &server).await.unwrap();
        let length = onwards.recv(&mut buffer).await.unwrap();
        socket.send_to(&buffer[..length], from).await.unwrap();
    }
}

async fn by_tcp(listener: TcpListener, server: String, operations: Arc<Mutex<Vec<u8>>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(pass_on(stream, server.clone(), Arc::clone(&operations)));
    }
}

async fn pass_on(mut stream: TcpStream, server: String, operations: Arc<Mutex<Vec<u8>>>) {
    let mut onwards = TcpStream::connect(&server).await.unwrap();
    let length = stream.read_u16().await.unwrap();
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.unwrap();
    remember(&operations, &message);
    onwards.write_u16(length).await.unwrap();
    onwards.write_all(&message).await.unwrap();
    tokio::io::copy_bidirectional(&mut onwards, &mut stream)
        .await
        .ok();
}
