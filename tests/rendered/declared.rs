//! Declarations to render: those of the repository's lab with other applications in it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use lotse::age::Identity;
use lotse::config::{
    self, App, Chart, ChartValues, ContainerDefaults, Declarations, Delivery, Destination, Encryption,
    Gateway, GitFolder, GitReference, Grant, Helm, Host, LoginClient, Network, NetworkPeer, NetworkRule,
    OciFolder, OciReference, PodSecurity, Quota, RoleHolders, Source, Subject, Upstream,
};
use lotse::names::{AppName, EnvironmentName, HostLabel};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::json;

use crate::TODAY;

/// The lab of the repository.
pub(crate) fn lab() -> Declarations {
    static LAB: LazyLock<Declarations> = LazyLock::new(|| {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
        config::load(root, &EnvironmentName::new("lab").unwrap(), TODAY)
            .unwrap()
            .declarations
    });
    LAB.clone()
}

/// An application with manifests and nothing else.
pub(crate) fn plain(name: &str) -> App {
    App {
        name: AppName::new(name).unwrap(),
        description: "What it is for".to_owned(),
        owners: vec![lab().people.teams[0].name.clone()],
        hosts: Vec::new(),
        source: Source {
            manifests: Some(format!("apps/{name}/manifests").into()),
            upstream: None,
        },
        access: Vec::new(),
        login: Vec::new(),
        quota: None,
        container_defaults: ContainerDefaults::default(),
        network: Network::default(),
        pod_security: PodSecurity::Restricted,
        depends_on: Vec::new(),
        timeout: "5m".to_owned(),
    }
}

pub(crate) fn host(name: &str, service: &str, port: u16) -> Host {
    Host {
        name: HostLabel::new(name).unwrap(),
        destination: Destination::Gateway {
            service: service.to_owned(),
            port,
        },
    }
}

pub(crate) fn chart(url: &str, name: &str, version: &str) -> Upstream {
    let values = json!({
        "domain": "{{domain}}",
        "issuer": "{{issuer}}",
        "template": "{{ .Values.kept }}",
    });
    Upstream::Helm(Helm {
        chart: Chart::Repository {
            url: url.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
        },
        values: Some(ChartValues {
            path: "apps/x/values.yaml".into(),
            content: values.as_object().cloned().unwrap(),
        }),
    })
}

pub(crate) fn git(tag: &str) -> Upstream {
    Upstream::Git(GitFolder {
        url: "https://git.example.org/x.git".to_owned(),
        reference: GitReference::Tag(tag.to_owned()),
        path: ".".into(),
    })
}

pub(crate) fn gateway() -> Gateway {
    Gateway {
        class: "envoy".to_owned(),
        signer: lotse::config::Signer::ClusterIssuer("letsencrypt".to_owned()),
    }
}

fn upstream() -> impl Strategy<Value = Upstream> {
    prop_oneof![
        Just(chart("https://charts.example.org", "chart", "1.2.3")),
        Just(chart("oci://registry.example.org/charts/", "chart", "1.2.3+4")),
        Just(Upstream::Helm(Helm {
            chart: Chart::Folder("apps/x/chart".into()),
            values: None,
        })),
        Just(git("v1.2.3")),
        Just(Upstream::Git(GitFolder {
            url: "https://git.example.org/y.git".to_owned(),
            reference: GitReference::Commit("a".repeat(40)),
            path: "deploy/base".into(),
        })),
        Just(Upstream::Oci(OciFolder {
            url: "oci://registry.example.org/x".to_owned(),
            reference: OciReference::Digest(format!("sha256:{}", "b".repeat(64))),
            path: "deploy".into(),
        })),
    ]
}

prop_compose! {
    fn source(name: String)(manifests in any::<bool>(), upstream in prop::option::of(upstream())) -> Source {
        let manifests = (manifests || upstream.is_none())
            .then(|| Utf8PathBuf::from(format!("apps/{name}/manifests")));
        Source { manifests, upstream }
    }
}

fn peer(apps: Vec<AppName>) -> impl Strategy<Value = NetworkPeer> {
    prop_oneof![
        Just(NetworkPeer::Gateway),
        Just(NetworkPeer::Internet),
        Just(NetworkPeer::ApiServer),
        select(apps).prop_map(NetworkPeer::App),
        select(vec!["10.8.0.7/20", "2001:db8::1/64"])
            .prop_map(|range| NetworkPeer::Cidr(range.parse().unwrap())),
    ]
}

fn rules(apps: Vec<AppName>) -> impl Strategy<Value = Vec<NetworkRule>> {
    let ports = subsequence(vec![80, 443, 8080], 0..=3);
    let rule = (peer(apps), ports).prop_map(|(peer, ports)| NetworkRule { peer, ports });
    prop::collection::vec(rule, 0..4)
}

fn quota() -> impl Strategy<Value = Option<Quota>> {
    let amount = |text: &'static str| prop::option::of(Just(text.to_owned()));
    let quota = (amount("2"), amount("4Gi"), amount("20Gi"));
    prop::option::of(quota.prop_map(|(cpu, memory, storage)| Quota { cpu, memory, storage }))
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let grant = (any::<Index>(), select(vec!["view", "edit", "admin"]));
    let grants = prop::collection::vec(grant, 0..3);
    grants.prop_map(|grants| {
        let teams: Vec<Subject> = lab()
            .people
            .teams
            .into_iter()
            .map(|team| Subject::Team(team.name))
            .collect();
        let made = grants.into_iter().map(|(index, role)| Grant {
            subject: index.get(&teams).clone(),
            role: role.to_owned(),
            until: None,
            reason: None,
        });
        made.collect()
    })
}

/// One of `apps`, which may depend on those before it.
fn app(place: usize, apps: Vec<AppName>) -> impl Strategy<Value = App> {
    let name = apps[place].clone();
    let earlier = apps[..place].to_vec();
    let most = earlier.len();
    (
        source(name.to_string()),
        (0..3_u8, any::<bool>()),
        (rules(apps.clone()), rules(apps)),
        quota(),
        grants(),
        subsequence(earlier, 0..=most),
    )
        .prop_map(
            move |(source, (hosts, has_login), (allow_from, allow_to), quota, access, depends_on)| {
                let label = |number: u8| format!("{name}-{number}");
                let login = has_login.then(|| LoginClient {
                    client: name.to_string(),
                    redirect_uris: vec!["https://x.prod.lab.test/callback".to_owned()],
                    secret: "oidc".to_owned(),
                    delivery: Delivery::default(),
                    roles: BTreeMap::from([("viewer".to_owned(), RoleHolders::EveryTeam)]),
                });
                App {
                    source,
                    hosts: (0..hosts).map(|number| host(&label(number), "web", 80)).collect(),
                    login: login.into_iter().collect(),
                    network: Network { allow_from, allow_to },
                    quota,
                    access,
                    depends_on,
                    ..plain(name.as_str())
                }
            },
        )
}

/// Declarations with up to five applications of any kind, with or without a gateway and encryption.
pub(crate) fn declarations() -> impl Strategy<Value = Declarations> {
    // A name may be as long as one that gets a suffix; see `E0319`.
    let names = prop::collection::btree_set("[a-w][a-z0-9-]{0,40}[a-z]", 1..5);
    names
        .prop_flat_map(|names| {
            let names: Vec<AppName> = names
                .into_iter()
                .map(|name| AppName::new(name).unwrap())
                .collect();
            let apps: Vec<_> = (0..names.len()).map(|place| app(place, names.clone())).collect();
            let most = names.len();
            (apps, subsequence(names, 0..=most), any::<bool>(), any::<bool>())
        })
        .prop_map(|(apps, cluster_wide, has_gateway, is_encrypted)| {
            let mut declarations = lab();
            let environment = &mut declarations.environment;
            environment.apps = apps.iter().map(|app| app.name.clone()).collect();
            environment.cluster_wide = cluster_wide;
            environment.gateway = has_gateway.then(gateway);
            environment.encryption = is_encrypted.then(|| Encryption {
                recipient: Identity::generate().recipient(),
                identity: None,
                teams: Vec::new(),
            });
            declarations.apps = apps;
            declarations
        })
}
