//! The name servers under test, each with a zone `lab.test` of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::{bind, powerdns};
use crate::lab::dns::{DnsServer, DnsSpec, knot, serve};
use crate::lab::process::ProcessSpec;
use crate::names::DomainName;
use crate::surface::dns::{Rfc2136, TsigKey};

/// Where the programs are looked for.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Own,
    Knot,
    Bind,
    PowerDns,
}

enum Running {
    Own(DnsServer),
    Other(Child),
}

/// How another server is run.
pub(super) fn process(spec: &DnsSpec, program: Utf8PathBuf, arguments: &[impl ToString]) -> ProcessSpec {
    ProcessSpec {
        name: "server".to_owned(),
        program,
        arguments: arguments.iter().map(ToString::to_string).collect(),
        environment: BTreeMap::new(),
        directory: spec.directory.clone(),
        ready: knot::readiness(spec).unwrap(),
        ready_within: PATIENCE,
    }
}

pub(super) struct Backend {
    kind: Kind,
    spec: DnsSpec,
    running: Running,
    folder: TempDir,
}

impl Backend {
    pub(super) async fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = DnsSpec {
            zone: DomainName::new("lab.test").unwrap(),
            address: free_address().await,
            key: TsigKey::generate("lotse"),
            directory: Utf8Path::from_path(folder.path()).unwrap().to_owned(),
        };
        Self::launch(kind, spec, folder).await
    }

    /// Stops the server and starts it again on what it kept.
    pub(super) async fn restart(self) -> Self {
        match self.running {
            Running::Own(server) => server.shutdown().await.unwrap(),
            Running::Other(mut child) => stop(&mut child).await,
        }
        Self::launch(self.kind, self.spec, self.folder).await
    }

    pub(super) fn spec(&self) -> DnsSpec {
        self.spec.clone()
    }

    pub(super) fn key(&self) -> TsigKey {
        self.spec.key.clone()
    }

    pub(super) fn server(&self) -> String {
        self.spec.address.to_string()
    }

    pub(super) fn zone(&self) -> Rfc2136 {
        self.zone_with(self.key())
    }

    pub(super) fn zone_with(&self, key: TsigKey) -> Rfc2136 {
        Rfc2136::new(self.server(), self.spec.zone.clone(), key).unwrap()
    }

    /// Sends a message as it is, signed with a clock that is `skew` seconds off, or unsigned.
    pub(super) async fn send(
        &self,
        mut message: Message,
        skew: Option<i64>,
    ) -> (ResponseCode, Option<TsigError>) {
        if let Some(skew) = skew {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let now = now.checked_add_signed(skew).unwrap();
            message.finalize(&self.spec.key.signer().unwrap(), now).unwrap();
        }
        let answer = self.exchange(&message).await;
        let error = answer.signature().and_then(|signature| signature.data.error);
        (answer.response_code, error)
    }

    pub(super) async fn exchange(&self, message: &Message) -> Message {
        let octets = message.to_vec().unwrap();
        let mut stream = TcpStream::connect(self.spec.address).await.unwrap();
        stream
            .write_u16(u16::try_from(octets.len()).unwrap())
            .await
            .unwrap();
        stream.write_all(&octets).await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await.unwrap();
        Message::from_vec(&answer).unwrap()
    }

    async fn launch(kind: Kind, spec: DnsSpec, folder: TempDir) -> Self {
        let running = match kind {
            Kind::Own => Running::Own(serve(spec.clone()).await.unwrap()),
            Kind::Knot => {
                let server = knot::process(&spec, installed("knotd", "knot")).unwrap();
                Running::Other(run(&server).await)
            }
            Kind::Bind => Running::Other(run(&bind::server(&spec)).await),
            Kind::PowerDns => Running::Other(run(&powerdns::server(&spec)).await),
        };
        Self {
            kind,
            spec,
            running,
            folder,
        }
    }
}

/// An address nobody listens on at this moment.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A program of a Debian package, which the suite does not do without.
pub(super) fn installed(name: &str, package: &str) -> Utf8PathBuf {
    let mut places = FOLDERS.iter().map(|folder| Utf8Path::new(folder).join(name));
    places
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("the contract suite needs {name}: install the Debian package `{package}`"))
}

/// Runs a server until it is ready.
pub(super) async fn run(process: &ProcessSpec) -> Child {
    let log_file = process.directory.join(format!("{}.log", process.name));
    let log = fs_err::File::create(&log_file).unwrap().into_parts().0;
    let mut child = Command::new(&process.program)
        .args(&process.arguments)
        .envs(&process.environment)
        .current_dir(&process.directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while let Err(reason) = (process.ready)().await {
        let log = || fs_err::read_to_string(&log_file).unwrap();
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended: {}", process.name, log());
        assert!(begun.elapsed() < process.ready_within, "{reason}: {}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child
}

async fn stop(child: &mut Child) {
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    child.wait().await.unwrap();
}

/// An update of `lab.test` without content.
pub(super) fn empty_update() -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.add_query(Query::query(
        Name::from_ascii("lab.test.").unwrap(),
        RecordType::SOA,
    ));
    message
}

pub(super) fn record_update(name: &str, record_type: RecordType, value: &str) -> Message {
    let mut message = empty_update();
    let value = RData::try_from_str(record_type, value).unwrap();
    message.add_authority(Record::from_rdata(Name::from_ascii(name).unwrap(), 300, value));
    message
}

pub(super) fn address_update(name: &str, address: &str) -> Message {
    record_update(name, RecordType::A, address)
}
