//! What is counted and measured, as Prometheus reads it. No label comes from a caller: methods and
//! outcomes are of a fixed set, devices of the inventory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::transaction::outcome::Timings;

/// Every method there is; other names are counted together.
const METHODS: [&str; 14] = [
    "update_port",
    "reset_port",
    "get_switches",
    "update_lag",
    "delete_lag",
    "get_allowed_network_types",
    "is_port_supported",
    "is_link_valid",
    "attach_port",
    "detach_port",
    "add_network",
    "delete_network",
    "plan",
    "check_port",
];

/// Upper bounds in seconds: from a step on a near switch to the whole of a request's time.
const BUCKETS: [f64; 15] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type Labels<const N: usize, V = &'static str> = [(&'static str, V); N];
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;

struct Metrics {
    registry: Registry,
    calls: Family<Labels<2, Cow<'static, str>>, Counter>,
    call_seconds: Histograms,
    http_refusals: Family<Labels<1, String>, Counter>,
    auth_failures: Counter,
    outcomes: Family<Labels<1>, Counter>,
    phase_seconds: Histograms,
    queue: Family<Labels<1, String>, Gauge>,
    sessions: Gauge,
    sessions_limit: Gauge,
    journals: Gauge,
    generation: Gauge,
    ready: Gauge,
    reload_failures: Counter,
    audit_failures: Counter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);
/// What is looked up for one scrape must not be mixed with another's.
static SCRAPE: Mutex<()> = Mutex::new(());

/// What is not counted but looked up when somebody asks.
#[derive(Debug, Default)]
pub struct Now {
    /// Jobs that wait, by device.
    pub waiting: BTreeMap<String, usize>,
    pub sessions: usize,
    pub sessions_limit: usize,
    /// Journals with something in them.
    pub journals: usize,
    pub generation: u64,
    pub is_ready: bool,
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix("mercury");
        let histograms = || Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        Self {
            calls: add(&mut registry, "calls", "Requests answered, by method and code", Family::default()),
            call_seconds: add(&mut registry, "call_seconds", "Time to answer a request", histograms()),
            http_refusals: add(
                &mut registry,
                "http_refusals",
                "Requests refused before they were read, by HTTP status",
                Family::default(),
            ),
            auth_failures: add(&mut registry, "auth_failures", "Callers not let in", Counter::default()),
            outcomes: add(&mut registry, "outcomes", "Changes of ports, by outcome", Family::default()),
            phase_seconds: add(&mut registry, "phase_seconds", "Time in a step of a change", histograms()),
            queue: add(&mut registry, "queue_depth", "Requests that wait for a device", Family::default()),
            sessions: add(
                &mut registry,
                "sessions",
                "Sessions to devices, open or opening",
                Gauge::default(),
            ),
            sessions_limit: add(&mut registry, "sessions_limit", "Most sessions at a time", Gauge::default()),
            journals: add(
                &mut registry,
                "journals_open",
                "Journals that are not empty: under way, or to be settled",
                Gauge::default(),
            ),
            generation: add(
                &mut registry,
                "config_generation",
                "Configurations loaded since the start",
                Gauge::default(),
            ),
            ready: add(&mut registry, "ready", "Whether calls are taken", Gauge::default()),
            reload_failures: add(
                &mut registry,
                "reload_failures",
                "Reloads refused for mistakes in the configuration",
                Counter::default(),
            ),
            audit_failures: add(
                &mut registry,
                "audit_failures",
                "Audit lines that could not be written",
                Counter::default(),
            ),
            registry,
        }
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// A request with an envelope was answered; without a code it went well.
pub fn called(method: &str, code: Option<i64>, took: Duration) {
    let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
    let code = code.map_or("ok".into(), |code| code.to_string().into());
    METRICS.calls.get_or_create(&[("method", method.into()), ("code", code)]).inc();
    METRICS.call_seconds.get_or_create(&[("method", method)]).observe(took.as_secs_f64());
}

/// A request was refused with an HTTP status of its own.
pub fn refused(status: u16) {
    METRICS.http_refusals.get_or_create(&[("status", status.to_string())]).inc();
}

/// A caller could not say who it is.
pub fn auth_failed() {
    METRICS.auth_failures.inc();
}

/// One port's change ended.
pub fn ended(outcome: &'static str, timings: &Timings) {
    METRICS.outcomes.get_or_create(&[("outcome", outcome)]).inc();
    for (phase, took) in &timings.0 {
        METRICS.phase_seconds.get_or_create(&[("phase", phase.word())]).observe(took.as_secs_f64());
    }
}

/// A configuration was not taken over.
pub fn reload_failed() {
    METRICS.reload_failures.inc();
}

/// An audit line is lost.
pub fn audit_failed() {
    METRICS.audit_failures.inc();
}

/// All of it in OpenMetrics' text form, [`CONTENT_TYPE`].
pub fn render(now: &Now) -> Result<String, std::fmt::Error> {
    let _one_at_a_time = SCRAPE.lock().unwrap_or_else(PoisonError::into_inner);
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    METRICS.queue.clear();
    for (device, waiting) in &now.waiting {
        METRICS.queue.get_or_create(&[("device", device.clone())]).set(gauge(*waiting));
    }
    METRICS.sessions.set(gauge(now.sessions));
    METRICS.sessions_limit.set(gauge(now.sessions_limit));
    METRICS.journals.set(gauge(now.journals));
    METRICS.generation.set(i64::try_from(now.generation).unwrap_or(i64::MAX));
    METRICS.ready.set(i64::from(now.is_ready));
    let mut text = String::new();
    encode(&mut text, &METRICS.registry)?;
    Ok(text)
}

/// What [`render`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::outcome::Phase;

    #[test]
    fn labels_are_bounded_and_what_is_gone_is_not_told() {
        called("update_port", None, Duration::from_millis(3));
        called("\"}\nevil 1", Some(-32601), Duration::ZERO);
        ended("applied", &Timings(vec![(Phase::Commit, Duration::from_millis(20))]));
        let waiting = |device: &str| Now { waiting: [(device.to_owned(), 2)].into(), ..Now::default() };
        assert!(render(&waiting("leaf1")).unwrap().contains("mercury_queue_depth{device=\"leaf1\"} 2\n"));
        let text = render(&waiting("leaf2")).unwrap();
        for line in [
            "mercury_calls_total{method=\"update_port\",code=\"ok\"} 1",
            "mercury_calls_total{method=\"other\",code=\"-32601\"} 1",
            "mercury_phase_seconds_bucket{le=\"0.025\",phase=\"commit\"} 1",
            "mercury_outcomes_total{outcome=\"applied\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("leaf1") && !text.contains("evil"));
    }
}
