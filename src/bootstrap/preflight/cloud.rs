//! Checks of the cloud: whether it has what the machines of the Cluster are made of, before any is asked for.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::Value;

use super::check::{Check, CheckId};
use crate::config::ResolvedEnvironment;
use crate::surface::openstack::{Cloud, Flavor, Limits, Network, OpenStackError, Session};

/// Providers of Octavia that a kind of load balancer may be of.
const PROVIDERS: [(&str, &[&str]); 2] = [
    ("octavia-ovn", &["ovn"]),
    ("octavia-amphora", &["amphora", "amphorav2", "octavia"]),
];
const ALL: [CheckId; 5] = [
    CheckId::CloudFlavors,
    CheckId::CloudQuota,
    CheckId::CloudImage,
    CheckId::CloudNetwork,
    CheckId::CloudLoadBalancer,
];

/// What the Cluster needs of the cloud. Variables that are not declared have the value that the class gives them.
pub(super) struct Needs {
    /// Flavors with how many machines of each are declared.
    pub(super) flavors: BTreeMap<String, u64>,
    pub(super) image: Option<String>,
    pub(super) network: Option<String>,
    pub(super) balancer: Option<String>,
    /// Whether all machines are still to be made.
    pub(super) is_new: bool,
}

impl Needs {
    /// From what is declared and the class, where that is there already.
    pub(super) fn of(environment: &ResolvedEnvironment, class: Option<&DynamicObject>, is_new: bool) -> Self {
        let cluster = &environment.cluster;
        let value = |name: &str| {
            cluster
                .variables
                .get(name)
                .cloned()
                .or_else(|| default(class?, name))
        };
        let text = |name: &str| {
            value(name)?
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let is_true = |name: &str| value(name).and_then(|value| value.as_bool());
        let mut flavors = BTreeMap::new();
        let control_plane = cluster
            .control_plane
            .flavor
            .clone()
            .or_else(|| text("controlPlaneFlavor"));
        let mut add = |flavor: Option<String>, machines: u64| {
            if let Some(flavor) = flavor {
                *flavors.entry(flavor).or_insert(0) += machines;
            }
        };
        add(control_plane, cluster.control_plane.replicas.unwrap_or(1).into());
        for group in &cluster.workers {
            add(
                group.flavor.clone().or_else(|| text("workerFlavor")),
                group.replicas.into(),
            );
        }
        // An image that is made by a controller of its own, or whose name says nothing of the version, is not looked for.
        let is_named = is_true("imageIsOrc") == Some(false);
        let image = text("imageName").filter(|_| is_named).map(|name| {
            if is_true("imageAddVersion") == Some(false) {
                name
            } else {
                format!("{name}-{}", cluster.version)
            }
        });
        Self {
            flavors,
            image,
            network: text("networkExternalID"),
            balancer: text("apiServerLoadBalancer"),
            is_new,
        }
    }
}

/// The value that a class gives a variable.
fn default(class: &DynamicObject, name: &str) -> Option<Value> {
    let variables = class.data.pointer("/spec/variables")?.as_array()?;
    let variable = variables.iter().find(|variable| variable["name"] == name)?;
    variable.pointer("/schema/openAPIV3Schema/default").cloned()
}

/// Asks the cloud, where its credentials are known.
pub(super) async fn checks(cloud: Option<&Cloud>, needs: &Needs) -> Vec<Check> {
    let Some(cloud) = cloud else {
        return Vec::new();
    };
    match Session::log_in(cloud).await {
        Ok(session) => {
            let mut checks = vec![Check::passed(CheckId::CloudAnswers)];
            checks.extend(ask(&session, needs).await);
            checks
        }
        Err(error) => {
            let answers = Check::by_error(
                CheckId::CloudAnswers,
                &error,
                "correct the Secret with clouds.yaml; an application credential may have run out. Where the cloud can only be \
                 reached from the management cluster, `--skip cloud-answers` goes on",
            );
            let others = ALL.map(|id| Check::not_asked(id, "the cloud does not log us in"));
            std::iter::once(answers).chain(others).collect()
        }
    }
}

async fn ask(session: &Session, needs: &Needs) -> [Check; 5] {
    let (flavors, limits, image, networks, providers) = tokio::join!(
        session.flavors(),
        session.limits(),
        async {
            match &needs.image {
                Some(name) => session.has_image(name).await.map(Some),
                None => Ok(None),
            }
        },
        session.external_networks(),
        session.load_balancer_providers(),
    );
    [
        told(CheckId::CloudFlavors, flavors.as_ref(), |flavors| {
            has_flavors(needs, flavors)
        }),
        told(CheckId::CloudQuota, limits.as_ref(), |limits| {
            has_room(needs, limits, flavors.as_ref().ok())
        }),
        told(CheckId::CloudImage, image.as_ref(), |found| {
            has_image(needs, *found)
        }),
        told(CheckId::CloudNetwork, networks.as_ref(), |networks| {
            has_network(needs, networks)
        }),
        told(CheckId::CloudLoadBalancer, providers.as_ref(), |providers| {
            has_balancer(needs, providers.as_deref())
        }),
    ]
}

/// A part of the cloud that may not be asked, or is not there, is in nobody's way.
fn told<T>(id: CheckId, found: Result<&T, &OpenStackError>, judge: impl FnOnce(&T) -> Verdict) -> Check {
    match found {
        Err(error) => Check::not_asked(id, error.to_string()),
        Ok(found) => match judge(found) {
            Verdict::Holds => Check::passed(id),
            Verdict::Unknown(reason) => Check::not_asked(id, reason),
            Verdict::Fails(problem, remedy) => Check::failed(id, problem, remedy),
        },
    }
}

enum Verdict {
    Holds,
    Unknown(&'static str),
    Fails(String, &'static str),
}

fn has_flavors(needs: &Needs, flavors: &BTreeMap<String, Flavor>) -> Verdict {
    let missing: Vec<&str> = needs
        .flavors
        .keys()
        .filter(|name| !flavors.contains_key(*name))
        .map(String::as_str)
        .collect();
    if needs.flavors.is_empty() {
        return Verdict::Unknown("no flavor is declared");
    }
    if missing.is_empty() {
        return Verdict::Holds;
    }
    Verdict::Fails(
        format!("the cloud has no flavor {}", missing.join(", ")),
        "declare one that `openstack flavor list` shows: cluster.controlPlane.flavor and cluster.workers in environment.yaml",
    )
}

fn has_room(needs: &Needs, limits: &Limits, flavors: Option<&BTreeMap<String, Flavor>>) -> Verdict {
    if !needs.is_new {
        return Verdict::Unknown("the Cluster has machines already");
    }
    let machines: Option<Vec<&Flavor>> = needs
        .flavors
        .iter()
        .flat_map(|(name, number)| (0..*number).map(move |_| flavors?.get(name)))
        .collect();
    let Some(machines) = machines else {
        return Verdict::Unknown("not all flavors are known");
    };
    let missing = limits.missing(&machines);
    if missing.is_empty() {
        return Verdict::Holds;
    }
    Verdict::Fails(
        missing.join("; "),
        "have the project's quota raised, or declare fewer or smaller machines",
    )
}

fn has_image(needs: &Needs, found: Option<bool>) -> Verdict {
    match (&needs.image, found) {
        (Some(name), Some(false)) => Verdict::Fails(
            format!("the project has no active image {name}"),
            "upload the image of this release of the cluster stack, or declare another version",
        ),
        (Some(_), Some(true)) => Verdict::Holds,
        _ => Verdict::Unknown("which image it is, is known after the ClusterClass is there"),
    }
}

fn has_network(needs: &Needs, networks: &[Network]) -> Verdict {
    const REMEDY: &str =
        "`openstack network list --external` shows them; the variable networkExternalID names one";
    match (&needs.network, networks) {
        (_, []) => Verdict::Fails("no network of the cloud leads out of it".to_owned(), REMEDY),
        (Some(id), networks) if networks.iter().all(|network| network.id != *id) => {
            Verdict::Fails(format!("{id} is no external network of the cloud"), REMEDY)
        }
        (None, [_, _, ..]) => {
            let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
            Verdict::Fails(format!("several networks lead out: {}", names.join(", ")), REMEDY)
        }
        _ => Verdict::Holds,
    }
}

fn has_balancer(needs: &Needs, providers: Option<&[String]>) -> Verdict {
    const REMEDY: &str =
        "declare another apiServerLoadBalancer; `openstack loadbalancer provider list` shows what there is";
    let Some(kind) = needs.balancer.as_deref() else {
        return Verdict::Unknown("which load balancer it is, is known after the ClusterClass is there");
    };
    let Some((_, wanted)) = PROVIDERS.iter().find(|(known, _)| *known == kind) else {
        return Verdict::Unknown("the API server has no load balancer of the cloud");
    };
    let Some(providers) = providers else {
        return Verdict::Fails(
            format!("{kind} is declared, and the cloud has no Octavia"),
            REMEDY,
        );
    };
    if providers
        .iter()
        .any(|provider| wanted.contains(&provider.as_str()))
    {
        return Verdict::Holds;
    }
    Verdict::Fails(
        format!(
            "{kind} is declared, and Octavia has the providers {}",
            providers.join(", ")
        ),
        REMEDY,
    )
}
