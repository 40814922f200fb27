//! What the module tells its operator: log lines and metrics.

use std::collections::BTreeMap;

use crate::status::{Level, Status};

/// One line that the module wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How bad.
    pub level: Level,
    /// Which VM wrote it.
    pub vm: usize,
    /// The text; bytes that are not UTF-8 are shown as replacement characters.
    pub text: String,
}

/// The metrics of one process: every VM that defines a name adds to the same one.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Vec<Metric>);

#[derive(Debug)]
struct Metric {
    name: String,
    kind: Kind,
    value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Metrics {
    /// Makes the metric, or finds it; the id tells the kind in its two lowest bits, as Envoy's do.
    pub(crate) fn define(&mut self, kind: u32, name: &[u8]) -> Result<u32, Status> {
        let kinds = [Kind::Counter, Kind::Gauge, Kind::Histogram];
        let tag = kind;
        let kind = *kinds.get(kind as usize).ok_or(Status::BadArgument)?;
        let name = String::from_utf8_lossy(name).into_owned();
        let held = self
            .0
            .iter()
            .position(|metric| metric.name == name && metric.kind == kind);
        let nth = held.unwrap_or_else(|| {
            self.0.push(Metric {
                name,
                kind,
                value: 0,
            });
            self.0.len() - 1
        });
        Ok((nth as u32) << 2 | tag)
    }

    /// Adds to a counter or a gauge. A counter cannot go back.
    pub(crate) fn increment(&mut self, id: u32, offset: i64) -> Result<(), Status> {
        let metric = self.find(id)?;
        match metric.kind {
            Kind::Counter if offset <= 0 => return Err(Status::BadArgument),
            Kind::Counter | Kind::Gauge => {
                metric.value = metric.value.saturating_add_signed(offset)
            }
            Kind::Histogram => return Err(Status::BadArgument),
        }
        Ok(())
    }

    /// Sets a gauge, adds to a counter; of a histogram the number of samples is kept.
    pub(crate) fn record(&mut self, id: u32, value: u64) -> Result<(), Status> {
        let metric = self.find(id)?;
        match metric.kind {
            Kind::Counter => metric.value = metric.value.saturating_add(value),
            Kind::Gauge => metric.value = value,
            Kind::Histogram => metric.value += 1,
        }
        Ok(())
    }

    /// Reads a counter or a gauge.
    pub(crate) fn get(&mut self, id: u32) -> Result<u64, Status> {
        let metric = self.find(id)?;
        if metric.kind == Kind::Histogram {
            Err(Status::BadArgument)
        } else {
            Ok(metric.value)
        }
    }

    /// Every metric by name.
    pub(crate) fn by_name(&self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .map(|metric| (metric.name.clone(), metric.value))
            .collect()
    }

    fn find(&mut self, id: u32) -> Result<&mut Metric, Status> {
        self.0.get_mut((id >> 2) as usize).ok_or(Status::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_vms_that_define_a_name_add_to_the_same_counter() {
        let mut metrics = Metrics::default();
        let (one, two) = (
            metrics.define(0, b"requests").unwrap(),
            metrics.define(0, b"requests").unwrap(),
        );
        metrics.increment(one, 2).unwrap();
        metrics.increment(two, 3).unwrap();
        assert_eq!(metrics.by_name()["requests"], 5);
        assert_eq!(metrics.increment(one, -1), Err(Status::BadArgument));
    }

    #[test]
    fn a_gauge_is_set_and_moved_and_a_histogram_cannot_be_read() {
        let mut metrics = Metrics::default();
        let gauge = metrics.define(1, b"age").unwrap();
        metrics.record(gauge, 9).unwrap();
        metrics.increment(gauge, -4).unwrap();
        assert_eq!(metrics.get(gauge), Ok(5));
        let histogram = metrics.define(2, b"latency").unwrap();
        assert_eq!(metrics.get(histogram), Err(Status::BadArgument));
        assert_eq!(metrics.define(3, b"x"), Err(Status::BadArgument));
        assert_eq!(metrics.get(400), Err(Status::NotFound));
    }
}
