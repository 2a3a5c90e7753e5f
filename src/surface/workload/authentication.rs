//! What an API server made of the last configuration of its authentication.

use http::Request;
use jiff::Timestamp;

use super::WorkloadError;
use crate::kubernetes::{Cluster, KubernetesError};
use crate::report;

/// When a changed configuration was last taken up or refused, by `status` (Kubernetes, "Kubernetes Metrics Reference").
const LAST_RELOAD: &str =
    "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds";

/// Since when the API server that answers has refused the configuration it was given, and goes by the one before; `None`
/// where it goes by it, as far as it says. A new one is looked at within a minute, and refused up to a minute later.
///
/// # Errors
/// When the metrics can't be read.
pub async fn refused_since(cluster: &Cluster) -> Result<Option<Timestamp>, WorkloadError> {
    let doing = || "reading the metrics of the API server".to_owned();
    report::sends(format_args!("GET /metrics"));
    let request = Request::get("/metrics").body(Vec::new());
    let request =
        request.map_err(|error| KubernetesError::request(doing(), &kube::Error::HttpError(error)))?;
    let text = cluster.client().request_text(request).await;
    let text = text.map_err(|error| KubernetesError::request(doing(), &error))?;
    Ok(refused(&text))
}

/// In the text format of Prometheus.
fn refused(metrics: &str) -> Option<Timestamp> {
    let last = |status: &str| {
        let label = format!("status=\"{status}\"");
        let lines = metrics.lines().filter_map(|line| line.strip_prefix(LAST_RELOAD));
        let values = lines.filter(|line| line.contains(&label));
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .reduce(f64::max)
    };
    let failure = last("failure").filter(|failure| *failure > last("success").unwrap_or_default())?;
    let since = std::time::Duration::try_from_secs_f64(failure).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_the_later_of_two_outcomes_counts() {
        let line = |status: &str, seconds: &str| {
            format!("{LAST_RELOAD}{{apiserver_id_hash=\"sha256:1\",status=\"{status}\"}} {seconds}\n")
        };
        assert_eq!(refused("# HELP a\nother{status=\"failure\"} 3\n"), None);
        let failure = line("failure", "1.75e+09");
        let at = Timestamp::from_second(1_750_000_000).unwrap();
        assert_eq!(refused(&failure), Some(at));
        assert_eq!(refused(&(failure.clone() + &line("success", "1.8e+09"))), None);
        assert_eq!(refused(&(failure + &line("success", "1.7e+09"))), Some(at));
    }
}
