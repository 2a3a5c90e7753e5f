//! What checking and rendering costs beside the programs that people use for it today.
//!
//! `cargo bench --bench render` makes repositories of 100 and of 1,000 applications on tmpfs, runs lotse and each peer
//! on them in turn, and prints one table: medians, and the medians of the ratios of the pairs. It asserts that both did
//! the same work, never how long it took. helm and kubectl are the lab's own, built where they are not there yet.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

mod corpus;
mod measure;

use std::io::Write;
use std::process::ExitCode;

use camino::{Utf8Path, Utf8PathBuf};
use corpus::Corpus;
use lotse::lab::component::{Component, Components, Sources};
use measure::{Pairs, Run};

const LOTSE: &str = env!("CARGO_BIN_EXE_lotse");

/// Where files cost no disk.
const TMPFS: &str = "/dev/shm";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(is_success) = measure::measure(&arguments) {
        return ExitCode::from(u8::from(!is_success));
    }
    print_table();
    ExitCode::SUCCESS
}

fn print_table() {
    let folder = tempfile::Builder::new()
        .prefix("lotse-bench-")
        .tempdir_in(TMPFS)
        .expect("a folder on tmpfs");
    let folder = Utf8Path::from_path(folder.path()).expect("a path of UTF-8");
    let peers = Peers::acquire();
    let small = Corpus::write(folder, 100);
    let large = Corpus::write(folder, 1_000);
    let rows = [
        rendering(&large, &peers),
        growth(&small, &large),
        kustomizing(&small, &peers),
        nothing_changed(&large),
        version(&peers),
    ];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let head = format!(
        "{} pairs, {threads} threads, tmpfs; each figure is a median\n\n\
         | what | lotse | beside it | wall | CPU | memory |\n|---|---|---|---|---|---|\n",
        measure::PAIRS
    );
    let table = head + &rows.concat();
    std::io::stdout()
        .write_all(table.as_bytes())
        .expect("stdout can be written");
}

/// Programs that lotse is measured beside.
struct Peers {
    helm: Utf8PathBuf,
    kubectl: Utf8PathBuf,
}

impl Peers {
    fn acquire() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let components = Components::new(Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: cache(),
        });
        let program = |component| {
            let acquired = runtime.block_on(components.acquire(component, &lotse::report::Silent));
            acquired.expect("the component can be built").program().to_owned()
        };
        Self {
            helm: program(Component::Helm),
            kubectl: program(Component::Kubectl),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no settings")]
fn cache() -> Utf8PathBuf {
    let base = std::env::var("XDG_CACHE_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| home + "/.cache"))
        .expect("HOME is set");
    Utf8PathBuf::from(base).join("lotse/components")
}

fn render(corpus: &Corpus, output: &Utf8Path) -> Run {
    Run::new(
        LOTSE,
        &["-C", corpus.root.as_str(), "render", "--output", output.as_str()],
    )
}

/// Everything is read, checked and written, into an empty folder; the peer renders the same objects from the same
/// declarations, and checks less.
fn rendering(corpus: &Corpus, peers: &Peers) -> String {
    let output = corpus.root.join("rendered");
    let chart = corpus.chart();
    let ours = render(corpus, &output).before(move || corpus::remove(&output));
    let theirs = Run::new(&peers.helm, &["template", "platform", chart.as_str()]);
    let pairs = Pairs::run(&ours, &theirs);
    corpus.assert_same_objects(&pairs.last_output_of_peer);
    let what = format!(
        "{} applications, {} objects: render; `helm template`",
        corpus.size,
        corpus.objects()
    );
    pairs.row(&what)
}

fn growth(small: &Corpus, large: &Corpus) -> String {
    let run = |corpus: &Corpus| {
        let output = corpus.root.join("rendered");
        render(corpus, &output).before(move || corpus::remove(&output))
    };
    let what = format!(
        "render of {} applications; the same of {}",
        large.size, small.size
    );
    Pairs::run(&run(large), &run(small)).row(&what)
}

/// kubectl reads files that are rendered already, which is less than what lotse does.
fn kustomizing(corpus: &Corpus, peers: &Peers) -> String {
    let output = corpus.root.join("rendered");
    let tree = corpus.kustomization();
    let ours = render(corpus, &output).before(move || corpus::remove(&output));
    let theirs = Run::new(&peers.kubectl, &["kustomize", tree.as_str()]);
    let what = format!(
        "{} applications: render; `kubectl kustomize` of what is rendered",
        corpus.size
    );
    Pairs::run(&ours, &theirs).row(&what)
}

fn nothing_changed(corpus: &Corpus) -> String {
    let output = corpus.root.join("rendered");
    let copy = corpus.root.join("copy");
    assert!(render(corpus, &output).once().is_success && render(corpus, &copy).once().is_success);
    let before = corpus::times(&output);
    let theirs = Run::new("diff", &["-rq", output.as_str(), copy.as_str()]);
    let pairs = Pairs::run(&render(corpus, &output), &theirs);
    assert_eq!(
        corpus::times(&output),
        before,
        "a run that changes nothing writes nothing"
    );
    let what = format!(
        "{} applications, nothing changed: render; `diff -rq` of two trees",
        corpus.size
    );
    pairs.row(&what)
}

fn version(peers: &Peers) -> String {
    let theirs = Run::new(&peers.kubectl, &["version", "--client"]);
    Pairs::run(&Run::new(LOTSE, &["--version"]), &theirs).row("`lotse --version`; `kubectl version --client`")
}
