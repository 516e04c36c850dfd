//! Samples and how they are printed.

use std::fmt;
use std::time::{Duration, Instant};

/// How long one thing took, each time.
#[derive(Clone, Default)]
pub struct Samples(Vec<Duration>);

/// Rows in the order in which they were measured.
#[derive(Default)]
pub struct Table(Vec<(String, Samples)>);

impl Samples {
    /// Runs `work` and notes how long it took.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.push(started.elapsed());
        result
    }

    pub fn push(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// The middle one.
    pub fn p50(&self) -> Duration {
        self.percentile(50)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The nearest rank; with fewer than a hundred samples, 99 is the longest.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl Table {
    pub fn row(&mut self, name: impl Into<String>, samples: &Samples) {
        let name = name.into();
        // Told as it goes: a run takes a minute or two.
        eprintln!("  {name}");
        self.0.push((name, samples.clone()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        writeln!(f, "\n{:width$} {:>8} {:>12} {:>12}", "", "samples", "p50", "p99")?;
        for (name, samples) in &self.0 {
            let (p50, p99) = (millis(samples.p50()), millis(samples.percentile(99)));
            writeln!(f, "{name:width$} {:>8} {p50:>12} {p99:>12}", samples.0.len())?;
        }
        Ok(())
    }
}

/// Milliseconds with three digits that count.
pub fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    let digits = if millis < 1.0 { 3 } else { usize::from(millis < 100.0) };
    format!("{millis:.digits$} ms")
}
