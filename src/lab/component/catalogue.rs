//! The components and their pins: the one place that names versions, modules and flags. Pure, no I/O.

mod definitions;

use std::time::Duration;

use super::python::{PACKAGES, PythonRecipe};

/// Version of etcd.
const ETCD_VERSION: &str = "v3.6.14";
/// Version of the Kubernetes programs, and what they answer at `/version`.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// Release of Flux that the four controllers and the install manifests belong to.
pub const FLUX_VERSION: &str = "v2.9.4";
/// Version of Keycloak.
pub const KEYCLOAK_VERSION: &str = "26.7.5";

/// A real component of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// etcd's server.
    Etcd,
    /// Kubernetes' API server.
    KubeApiserver,
    /// Kubernetes' controllers.
    KubeControllerManager,
    /// Kubernetes' scheduler.
    KubeScheduler,
    /// Kubernetes' client; renders the other components' kustomizations when they are built.
    Kubectl,
    /// Fake nodes; `share/stages.yaml` says how they and their pods behave.
    Kwok,
    /// Cluster API's core controllers; `share/crds.yaml`, `share/webhooks.yaml`.
    ClusterApi,
    /// The cluster-stack-operator; `share/crds.yaml`, `share/webhooks.yaml`.
    ClusterStackOperator,
    /// Helm's client, which the cluster-stack-operator runs.
    Helm,
    /// Flux' source-controller.
    SourceController,
    /// Flux' kustomize-controller.
    KustomizeController,
    /// Flux' helm-controller.
    HelmController,
    /// Flux' notification-controller.
    NotificationController,
    /// Flux' install manifests, without namespace: `share/flux/<controller>.yaml`, `rbac.yaml`, `policies.yaml`.
    FluxManifests,
    /// The Gateway API's definitions: `share/definitions/*.yaml`, as of the five after it.
    GatewayApi,
    /// cert-manager's definitions.
    CertManager,
    /// `CloudNativePG`'s definitions.
    CloudnativePg,
    /// The definitions of `CloudNativePG`'s plugin for backups.
    BarmanCloud,
    /// The prometheus-operator's definitions.
    PrometheusOperator,
    /// Envoy Gateway's definitions.
    EnvoyGateway,
    /// SOPS.
    Sops,
    /// Makes age keys.
    AgeKeygen,
    /// The forge; `share/static` is its `STATIC_ROOT_PATH`.
    Gitea,
    /// Keycloak, augmented: `share/keycloak` is the installation, `share/h2` a database with the master realm in it.
    Keycloak,
    /// OpenStack's Keystone and Designate; `share/packages` is a folder for Python's search path.
    Designate,
}

/// A component's pin.
struct Pin {
    name: &'static str,
    version: &'static str,
    /// Seconds of a build on two cores with nothing built before, downloads included.
    seconds: u64,
    making: Making,
}

/// How a component is made.
pub(super) enum Making {
    /// By Go, from a pinned module.
    Go(&'static GoRecipe),
    /// From Keycloak's distribution.
    Keycloak,
    /// From Python packages.
    Python(&'static PythonRecipe),
}

/// How Go makes a component.
pub(super) struct GoRecipe {
    /// The pinned go.mod.
    pub(super) go_mod: &'static str,
    /// The checksums of the modules.
    pub(super) go_sum: &'static str,
    /// The module the component comes from.
    pub(super) module: &'static str,
    /// Its main package; nothing where only files are taken.
    pub(super) package: Option<&'static str>,
    /// Build tags; a recipe with tags needs a C compiler.
    pub(super) cgo_tags: Option<&'static str>,
    /// Whether the Kubernetes version is linked in. Clients refuse a server that does not know its version.
    pub(super) stamped: bool,
    /// Files taken from the module.
    pub(super) share: &'static [ShareFile],
    /// What is changed in the module's source before it is built.
    pub(super) edits: &'static [Edit],
}

/// A piece of a source file that is replaced. It must be there exactly once.
pub(super) struct Edit {
    /// Below the module.
    pub(super) file: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
}

/// A file below `share/`, made from files of the module.
pub(super) enum ShareFile {
    /// What the kustomization in a directory renders to.
    Kustomized {
        /// Below `share/`.
        to: &'static str,
        /// Below the module.
        directory: &'static str,
    },
    /// A file or a whole directory as it is.
    Copied {
        /// Below `share/`.
        to: &'static str,
        /// Below the module.
        from: &'static str,
    },
    /// All YAML files of some directories (not of those below), as documents of one file.
    Joined {
        /// Below `share/`.
        to: &'static str,
        /// Below the module.
        directories: &'static [&'static str],
    },
}

macro_rules! module_files {
    ($name:literal) => {
        GoRecipe {
            go_mod: include_str!(concat!("../modules/", $name, "/go.mod")),
            go_sum: include_str!(concat!("../modules/", $name, "/go.sum")),
            module: "",
            package: None,
            cgo_tags: None,
            stamped: false,
            share: &[],
            edits: &[],
        }
    };
}

const fn kubernetes(package: &'static str) -> GoRecipe {
    GoRecipe {
        module: "k8s.io/kubernetes",
        package: Some(package),
        stamped: true,
        ..module_files!("kubernetes")
    }
}

/// A program at the root of its module.
const fn flux_controller(module: &'static str) -> GoRecipe {
    GoRecipe {
        module,
        package: Some(module),
        ..module_files!("flux")
    }
}

static ETCD: GoRecipe = GoRecipe {
    module: "go.etcd.io/etcd/server/v3",
    package: Some("go.etcd.io/etcd/server/v3"),
    ..module_files!("etcd")
};
static KUBE_APISERVER: GoRecipe = kubernetes("k8s.io/kubernetes/cmd/kube-apiserver");
static KUBE_CONTROLLER_MANAGER: GoRecipe = kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager");
static KUBE_SCHEDULER: GoRecipe = kubernetes("k8s.io/kubernetes/cmd/kube-scheduler");
static KUBECTL: GoRecipe = kubernetes("k8s.io/kubernetes/cmd/kubectl");
static KWOK: GoRecipe = GoRecipe {
    module: "sigs.k8s.io/kwok",
    package: Some("sigs.k8s.io/kwok/cmd/kwok"),
    share: &[ShareFile::Joined {
        to: "stages.yaml",
        directories: &[
            "kustomize/stage/node/fast",
            "kustomize/stage/node/heartbeat-with-lease",
            "kustomize/stage/pod/fast",
        ],
    }],
    ..module_files!("kwok")
};
static CLUSTER_API: GoRecipe = GoRecipe {
    module: "sigs.k8s.io/cluster-api",
    package: Some("sigs.k8s.io/cluster-api/core"),
    share: &[
        ShareFile::Kustomized {
            to: "crds.yaml",
            directory: "core/config/crd",
        },
        ShareFile::Copied {
            to: "webhooks.yaml",
            from: "core/config/webhook/manifests.yaml",
        },
    ],
    ..module_files!("cluster-api")
};
static CLUSTER_STACK_OPERATOR: GoRecipe = GoRecipe {
    module: "github.com/SovereignCloudStack/cluster-stack-operator",
    package: Some("github.com/SovereignCloudStack/cluster-stack-operator/cmd"),
    share: &[
        ShareFile::Kustomized {
            to: "crds.yaml",
            directory: "config/crd",
        },
        ShareFile::Copied {
            to: "webhooks.yaml",
            from: "config/webhook/manifests.yaml",
        },
    ],
    edits: &CLUSTER_STACK_OPERATOR_EDITS,
    ..module_files!("cluster-stack-operator")
};
const fn in_operator_main(from: &'static str, to: &'static str) -> Edit {
    Edit {
        file: "cmd/main.go",
        from,
        to,
    }
}
/// The pinned operator serves its webhooks at port 9443 and metrics at 8080 of every interface, whatever its flags
/// say, so that a second lab, or anybody else on those ports, would keep it from starting. It gets a flag for the
/// first and heeds the one it has for the second.
static CLUSTER_STACK_OPERATOR_EDITS: [Edit; 6] = [
    in_operator_main("Port: 9443,", "Host: \"127.0.0.1\", Port: webhookPort,"),
    in_operator_main("Port:    hookPort,", "Host: \"127.0.0.1\", Port: hookPort,"),
    in_operator_main("\thookCertDir ", "\twebhookPort int\n\thookCertDir "),
    in_operator_main(
        "\tflag.Parse()\n",
        "\tflag.IntVar(&webhookPort, \"webhook-port\", 9443, \"webhook server port\")\n\tflag.Parse()\n",
    ),
    in_operator_main(
        "HealthProbeBindAddress: probeAddr,",
        "HealthProbeBindAddress: probeAddr, Metrics: metricsserver.Options{BindAddress: metricsAddr},",
    ),
    in_operator_main(
        "\t\"sigs.k8s.io/controller-runtime/pkg/webhook\"\n",
        "\tmetricsserver \"sigs.k8s.io/controller-runtime/pkg/metrics/server\"\n\t\"sigs.k8s.io/controller-runtime/pkg/webhook\"\n",
    ),
];
static HELM: GoRecipe = GoRecipe {
    module: "helm.sh/helm/v3",
    package: Some("helm.sh/helm/v3/cmd/helm"),
    ..module_files!("helm")
};
static SOURCE_CONTROLLER: GoRecipe = flux_controller("github.com/fluxcd/source-controller");
static KUSTOMIZE_CONTROLLER: GoRecipe = flux_controller("github.com/fluxcd/kustomize-controller");
static NOTIFICATION_CONTROLLER: GoRecipe = flux_controller("github.com/fluxcd/notification-controller");
static HELM_CONTROLLER: GoRecipe = GoRecipe {
    module: "github.com/fluxcd/helm-controller",
    package: Some("github.com/fluxcd/helm-controller"),
    ..module_files!("helm-controller")
};
static FLUX_MANIFESTS: GoRecipe = GoRecipe {
    module: "github.com/controlplaneio-fluxcd/flux-operator",
    share: &[ShareFile::Copied {
        to: "flux",
        from: "config/data/flux/v2.9.4",
    }],
    ..module_files!("flux-manifests")
};
static SOPS: GoRecipe = GoRecipe {
    module: "github.com/getsops/sops/v3",
    package: Some("github.com/getsops/sops/v3/cmd/sops"),
    ..module_files!("sops")
};
static AGE_KEYGEN: GoRecipe = GoRecipe {
    module: "filippo.io/age",
    package: Some("filippo.io/age/cmd/age-keygen"),
    ..module_files!("sops")
};
static GITEA: GoRecipe = GoRecipe {
    module: "code.gitea.io/gitea",
    package: Some("code.gitea.io/gitea"),
    cgo_tags: Some("sqlite sqlite_unlock_notify"),
    share: &[
        ShareFile::Copied {
            to: "static/templates",
            from: "templates",
        },
        ShareFile::Copied {
            to: "static/options",
            from: "options",
        },
        ShareFile::Copied {
            to: "static/public",
            from: "public",
        },
    ],
    ..module_files!("gitea")
};

static DESIGNATE: PythonRecipe = PythonRecipe {
    requirements: include_str!("../modules/designate/requirements.txt"),
};

const fn pin(name: &'static str, version: &'static str, seconds: u64, recipe: &'static GoRecipe) -> Pin {
    Pin {
        name,
        version,
        seconds,
        making: Making::Go(recipe),
    }
}

impl Component {
    /// Every component.
    pub const ALL: [Self; 25] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::ClusterApi,
        Self::ClusterStackOperator,
        Self::Helm,
        Self::SourceController,
        Self::KustomizeController,
        Self::HelmController,
        Self::NotificationController,
        Self::FluxManifests,
        Self::GatewayApi,
        Self::CertManager,
        Self::CloudnativePg,
        Self::BarmanCloud,
        Self::PrometheusOperator,
        Self::EnvoyGateway,
        Self::Sops,
        Self::AgeKeygen,
        Self::Gitea,
        Self::Keycloak,
        Self::Designate,
    ];

    const fn pin(self) -> Pin {
        match self {
            Self::Etcd => pin("etcd", ETCD_VERSION, 51, &ETCD),
            Self::KubeApiserver => pin("kube-apiserver", KUBERNETES_VERSION, 232, &KUBE_APISERVER),
            Self::KubeControllerManager => pin(
                "kube-controller-manager",
                KUBERNETES_VERSION,
                50,
                &KUBE_CONTROLLER_MANAGER,
            ),
            Self::KubeScheduler => pin("kube-scheduler", KUBERNETES_VERSION, 10, &KUBE_SCHEDULER),
            Self::Kubectl => pin("kubectl", KUBERNETES_VERSION, 25, &KUBECTL),
            Self::Kwok => pin("kwok", "v0.8.0", 69, &KWOK),
            Self::ClusterApi => pin("capi-core", "v1.14.0", 105, &CLUSTER_API),
            Self::ClusterStackOperator => pin("cso", "v0.1.0-alpha.7", 92, &CLUSTER_STACK_OPERATOR),
            Self::Helm => pin("helm", "v3.21.4", 57, &HELM),
            Self::SourceController => pin("source-controller", "v1.9.4", 195, &SOURCE_CONTROLLER),
            Self::KustomizeController => pin("kustomize-controller", "v1.9.4", 60, &KUSTOMIZE_CONTROLLER),
            Self::HelmController => pin("helm-controller", "v1.6.3", 135, &HELM_CONTROLLER),
            Self::NotificationController => {
                pin("notification-controller", "v1.9.3", 27, &NOTIFICATION_CONTROLLER)
            }
            Self::FluxManifests => pin("flux-manifests", FLUX_VERSION, 3, &FLUX_MANIFESTS),
            Self::GatewayApi => pin("gateway-api", "v1.6.1", 3, &definitions::GATEWAY_API),
            Self::CertManager => pin("cert-manager", "v1.21.2", 3, &definitions::CERT_MANAGER),
            Self::CloudnativePg => pin("cloudnative-pg", "v1.30.1", 6, &definitions::CLOUDNATIVE_PG),
            Self::BarmanCloud => pin("plugin-barman-cloud", "v0.15.0", 2, &definitions::BARMAN_CLOUD),
            Self::PrometheusOperator => pin(
                "prometheus-operator",
                "v0.94.1",
                3,
                &definitions::PROMETHEUS_OPERATOR,
            ),
            Self::EnvoyGateway => pin("envoy-gateway", "v1.9.1", 5, &definitions::ENVOY_GATEWAY),
            Self::Sops => pin("sops", "v3.13.3", 71, &SOPS),
            Self::AgeKeygen => pin("age-keygen", "v1.3.2", 3, &AGE_KEYGEN),
            Self::Gitea => pin("gitea", "v1.26.4", 231, &GITEA),
            Self::Keycloak => Pin {
                name: "keycloak",
                version: KEYCLOAK_VERSION,
                seconds: 90,
                making: Making::Keycloak,
            },
            Self::Designate => Pin {
                name: "designate",
                version: "23.0.0",
                seconds: 130,
                making: Making::Python(&DESIGNATE),
            },
        }
    }

    /// Its name: that of its program and of its cache entry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.pin().name
    }

    /// Its pinned version, as its authors write it.
    #[must_use]
    pub const fn version(self) -> &'static str {
        self.pin().version
    }

    /// How long a build takes on two cores with nothing built before, downloads included.
    #[must_use]
    pub const fn cold_build(self) -> Duration {
        Duration::from_secs(self.pin().seconds)
    }

    pub(super) const fn making(self) -> Making {
        self.pin().making
    }

    /// Whether it is nothing but definitions of kinds.
    const fn is_definitions(self) -> bool {
        matches!(
            self,
            Self::GatewayApi
                | Self::CertManager
                | Self::CloudnativePg
                | Self::BarmanCloud
                | Self::PrometheusOperator
                | Self::EnvoyGateway
        )
    }

    /// Whether every lab takes it. The others are for tests of what is rendered for clusters that are no labs, and for labs
    /// that are asked for more.
    #[must_use]
    pub const fn is_of_lab(self) -> bool {
        !matches!(
            self,
            Self::CloudnativePg
                | Self::BarmanCloud
                | Self::PrometheusOperator
                | Self::EnvoyGateway
                | Self::Designate
        )
    }

    /// Where its program is, below its directory.
    pub(super) fn program(self) -> String {
        match self {
            Self::Keycloak => "share/keycloak/lib/quarkus-run.jar".to_owned(),
            Self::FluxManifests => "share/flux".to_owned(),
            Self::Designate => format!("share/{PACKAGES}"),
            _ if self.is_definitions() => format!("share/{}", definitions::DIRECTORY),
            _ => format!("bin/{}", self.name()),
        }
    }

    /// Whether making it needs kubectl.
    pub(super) fn renders_kustomizations(self) -> bool {
        self.share_files()
            .iter()
            .any(|file| matches!(file, ShareFile::Kustomized { .. }))
    }

    /// Whether it is nothing but its program.
    pub(super) fn is_bare_program(self) -> bool {
        matches!(self.making(), Making::Go(recipe) if recipe.package.is_some() && recipe.share.is_empty())
    }

    /// What making it will do, in one line.
    pub(super) fn announcement(self) -> String {
        let verb = match self.making() {
            Making::Go(recipe) if recipe.package.is_none() => "fetching",
            Making::Go(_) => "building",
            Making::Keycloak => "preparing",
            Making::Python(_) => "installing",
        };
        let seconds = self.pin().seconds;
        let about = if seconds < 60 {
            format!("{seconds} s")
        } else {
            format!("{} min", seconds.div_ceil(60))
        };
        format!(
            "{verb} {} {} (up to {about} on two cores)",
            self.name(),
            self.version()
        )
    }

    fn share_files(self) -> &'static [ShareFile] {
        match self.making() {
            Making::Go(recipe) => recipe.share,
            Making::Keycloak | Making::Python(_) => &[],
        }
    }
}

impl GoRecipe {
    /// The arguments of `go build` besides output and package. They are part of the cache key, and stay the
    /// same for all components so that Go's own cache serves them all.
    pub(super) fn flags(&self) -> Vec<String> {
        let mut flags: Vec<String> = ["-mod=readonly", "-buildvcs=false", "-trimpath", "-pgo=off"]
            .map(str::to_owned)
            .to_vec();
        if let Some(tags) = self.cgo_tags {
            flags.extend(["-tags".to_owned(), tags.to_owned()]);
        }
        flags.extend(["-ldflags".to_owned(), self.linker_flags()]);
        flags
    }

    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        if self.stamped {
            flags.push(' ');
            flags.push_str(&kubernetes_stamp(KUBERNETES_VERSION));
        }
        flags
    }
}

/// The linker flags that tell the Kubernetes programs their version (`v1.36.3`).
fn kubernetes_stamp(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor = numbers.next().unwrap_or_default();
    let both = [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)];
    let server = [
        ("gitTreeState", "clean"),
        ("gitCommit", "unknown"),
        ("buildDate", "1970-01-01T00:00:00Z"),
    ];
    let component = both
        .iter()
        .chain(&server)
        .map(|pair| ("k8s.io/component-base/version", pair));
    let client = both.iter().map(|pair| ("k8s.io/client-go/pkg/version", pair));
    component
        .chain(client)
        .map(|(package, (variable, value))| format!("-X {package}.{variable}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn test_pins_agree_with_the_module_files() {
        for component in Component::ALL {
            let Making::Go(recipe) = component.making() else {
                continue;
            };
            let version = match component {
                Component::FluxManifests => "v0.58.1",
                _ => component.version(),
            };
            let requirement = format!("{} {version}", recipe.module);
            let required = recipe.go_mod.lines().any(|line| {
                let line = line.trim().trim_start_matches("require ");
                line == requirement || line.strip_prefix(&requirement) == Some(" // indirect")
            });
            assert!(
                required,
                "{requirement} is not in the go.mod of {}",
                component.name()
            );
            assert!(
                recipe.go_sum.contains(&format!("{requirement} h1:")),
                "{requirement} is not in go.sum"
            );
            assert!(recipe.go_mod.starts_with("module lotse.invalid/lab/"));
        }
    }

    #[test]
    fn test_names_are_unique_and_all_is_complete_and_sorted() {
        let names: BTreeSet<_> = Component::ALL.iter().map(|component| component.name()).collect();
        assert_eq!(names.len(), Component::ALL.len());
        assert!(Component::ALL.is_sorted());
        assert_eq!(Component::ALL.last(), Some(&Component::Designate));
        assert_eq!(Component::Designate as usize + 1, Component::ALL.len());
    }

    #[test]
    fn test_kubernetes_programs_are_stamped() {
        let flags = KUBE_APISERVER.flags().join("|");
        insta::assert_snapshot!(flags.replace(" -X ", "\n-X "), @"
        -mod=readonly|-buildvcs=false|-trimpath|-pgo=off|-ldflags|-s -w
        -X k8s.io/component-base/version.gitVersion=v1.36.3
        -X k8s.io/component-base/version.gitMajor=1
        -X k8s.io/component-base/version.gitMinor=36
        -X k8s.io/component-base/version.gitTreeState=clean
        -X k8s.io/component-base/version.gitCommit=unknown
        -X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z
        -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3
        -X k8s.io/client-go/pkg/version.gitMajor=1
        -X k8s.io/client-go/pkg/version.gitMinor=36
        ");
        assert_eq!(ETCD.flags().last().map(String::as_str), Some("-s -w"));
    }

    #[test]
    fn test_flux_manifests_are_of_the_named_release() {
        let [ShareFile::Copied { from, .. }] = FLUX_MANIFESTS.share else {
            panic!("one directory is copied");
        };
        assert!(from.ends_with(FLUX_VERSION));
    }
}
