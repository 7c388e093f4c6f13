//! A service's `/metrics`, for moments inside of its process.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

/// Counters and histograms at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape {
    /// Samples by name with labels, as in Prometheus' text format.
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    /// Reads the metrics from a service's health address.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn of(health: &str) -> anyhow::Result<Self> {
        Self::by(&reqwest::Client::new(), health).await
    }

    /// As [`Scrape::of`], with a client: for many reads of one service.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn by(client: &reqwest::Client, health: &str) -> anyhow::Result<Self> {
        let url = format!("http://{health}/metrics");
        let answer = client.get(&url).send().await.with_context(|| url.clone())?;
        Ok(Self::read(&answer.error_for_status()?.text().await?))
    }

    fn read(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        Self {
            samples: lines.filter_map(sample).collect(),
        }
    }

    /// Adds the samples of another process to these, by name and labels.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (name, value) in &other.samples {
            *self.samples.entry(name.clone()).or_default() += value;
        }
        self
    }

    /// The growth of each sample since `earlier`; a sample that `earlier` lacks counts from 0.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let added = |(name, value): (&String, &f64)| {
            let before = earlier.samples.get(name).copied().unwrap_or_default();
            (name.clone(), value - before)
        };
        Self {
            samples: self.samples.iter().map(added).collect(),
        }
    }

    /// Sum of a counter over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        let fits = |sample: &str| sample == name || sample.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        self.samples
            .iter()
            .filter(|(sample, _)| fits(sample))
            .map(|(_, value)| value)
            .sum()
    }

    /// Sum of a counter over all samples in which a label has this value.
    pub fn sum_of(&self, name: &str, label: &str, value: &str) -> f64 {
        let wanted = format!("{label}=\"{value}\"");
        let fits = |sample: &str| {
            let labels = sample.strip_prefix(name).and_then(|rest| rest.strip_prefix('{'));
            labels.is_some_and(|labels| labels.trim_end_matches('}').split(',').any(|one| one == wanted))
        };
        let fitting = self.samples.iter().filter(|(sample, _)| fits(sample));
        fitting.map(|(_, value)| value).sum()
    }

    /// A quantile of a histogram of seconds, in milliseconds: the upper bound of the bucket that holds it, so never too small.
    ///
    /// # Errors
    /// When there is no such histogram, or it is empty.
    pub fn quantile_ms(&self, histogram: &str, quantile: f64) -> anyhow::Result<f64> {
        let prefix = format!("{histogram}_bucket{{");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (sample, count) in &self.samples {
            let Some(labels) = sample.strip_prefix(&prefix) else {
                continue;
            };
            let le = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let le = le.and_then(|le| {
                if le == "+Inf" {
                    Some(f64::INFINITY)
                } else {
                    le.parse().ok()
                }
            });
            let le: f64 = le.with_context(|| format!("{sample} has no bound"))?;
            match buckets.iter_mut().find(|(bound, _)| bound.total_cmp(&le).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((le, *count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = buckets.last().map_or(0.0, |(_, count)| *count);
        ensure!(total > 0.0, "histogram {histogram} is empty");
        let reached = buckets.iter().find(|(_, count)| *count >= total * quantile);
        Ok(reached.map_or(f64::INFINITY, |(bound, _)| bound * 1_000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\nx_bucket{q=\"a\",le=\"0.001\"} 90\nx_bucket{q=\"a\",le=\"0.005\"} 99\n\
        x_bucket{q=\"a\",le=\"+Inf\"} 100\nx_count{q=\"a\"} 100\nother 3\nother{a=\"b\"} 4\nothers 9\n";

    #[test]
    fn quantile_is_the_upper_bound_of_its_bucket() {
        let scrape = Scrape::read(TEXT);
        assert_eq!(scrape.quantile_ms("x", 0.5).unwrap(), 1.0);
        assert_eq!(scrape.quantile_ms("x", 0.99).unwrap(), 5.0);
        assert_eq!(scrape.quantile_ms("x", 0.999).unwrap(), f64::INFINITY);
        assert!(scrape.quantile_ms("y", 0.5).is_err());
        assert_eq!(scrape.sum("other"), 7.0);
    }

    #[test]
    fn scrapes_add_up_and_subtract() {
        let one = Scrape::read(TEXT);
        let both = one.clone().plus(&one);
        assert_eq!(both.sum("x_count"), 200.0);
        assert_eq!(both.since(&one), one);
    }
}
