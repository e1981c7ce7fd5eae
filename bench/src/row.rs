//! A line of the table: two series of figures, compared round by round.

use crate::targets::Target;

/// What is compared, and how it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) test: String,
    pub(crate) peer: String,
    pub(crate) unit: &'static str,
    /// What we reach and what the peer reaches, the medians.
    pub(crate) values: [Option<f64>; 2],
    /// The median of the rounds' ratios; none where somebody did not complete.
    pub(crate) ratio: Option<f64>,
    /// The width of the middle half of the rounds' ratios.
    pub(crate) spread: Option<f64>,
    /// The same ratio by processor time of the server, for the same work.
    pub(crate) by_cpu: Option<f64>,
    /// Processor time of our server and of the peer's for each thing that is counted, in microseconds.
    pub(crate) micros: [Option<f64>; 2],
    pub(crate) target: Option<Target>,
    pub(crate) failed: Option<Failed>,
    /// What a reader has to know about it.
    pub(crate) note: Option<String>,
}

/// Who did not complete, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failed {
    Ours(String),
    Peer(String),
}

impl Row {
    /// Whether the target is met; none where there is no target. What has not been measured is not met.
    pub(crate) fn met(&self) -> Option<bool> {
        let target = self.target?;
        Some(self.failed.is_none() && self.ratio.is_some_and(|ratio| target.is_met(ratio)))
    }

    /// Compares what each side gave round by round, or says who gave nothing.
    pub(crate) fn compare(self, ours: Result<&[f64], &str>, theirs: Result<&[f64], &str>) -> Self {
        let failed = match (ours, theirs) {
            (Err(why), _) => Some(Failed::Ours(why.to_owned())),
            (_, Err(why)) => Some(Failed::Peer(why.to_owned())),
            _ => None,
        };
        let (ours, theirs) = (ours.unwrap_or_default(), theirs.unwrap_or_default());
        let ratios = ratios(ours, theirs);
        let (ratio, spread) = if failed.is_none() { (median(&ratios), spread(&ratios)) } else { (None, None) };
        Self { values: [median(ours), median(theirs)], ratio, spread, failed, ..self }
    }

    /// A figure of ours alone, which is its own ratio.
    pub(crate) fn absolute(self, ours: Result<&[f64], &str>) -> Self {
        let failed = ours.err().map(|why| Failed::Ours(why.to_owned()));
        let ours = ours.unwrap_or_default();
        let values = [median(ours), None];
        Self { peer: ABSOLUTE.into(), values, ratio: median(ours), spread: spread(ours), failed, ..self }
    }
}

/// The figures of one side, or why there are none.
pub(crate) type Series = Result<Vec<f64>, String>;

pub(crate) fn slice(series: &Series) -> Result<&[f64], &str> {
    series.as_deref().map_err(String::as_str)
}

/// The peer of a figure that is compared with nobody's.
pub(crate) const ABSOLUTE: &str = "(absolute)";

/// What each round gave, one to the other.
pub(crate) fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    quantile(figures, 0.5)
}

/// The width of the middle half.
pub(crate) fn spread(figures: &[f64]) -> Option<f64> {
    Some(quantile(figures, 0.75)? - quantile(figures, 0.25)?)
}

/// Between two figures where it falls between them.
fn quantile(figures: &[f64], part: f64) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().checked_sub(1)? as f64 * part;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: Option<Target>) -> Row {
        Row { target, ..Row::default() }
    }

    #[test]
    fn the_spread_is_the_middle_half() {
        let figures = [5.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(median(&figures), Some(3.0));
        assert_eq!(spread(&figures), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn rounds_are_compared_in_pairs() {
        // The machine was slow in the second round, which is not to count.
        let row = row(Some(Target::AtLeast(2.0))).compare(Ok(&[20.0, 2.0, 22.0]), Ok(&[10.0, 1.0, 10.0]));
        assert_eq!((row.ratio, row.values), (Some(2.0), [Some(20.0), Some(10.0)]));
        assert_eq!((row.met(), row.failed), (Some(true), None));
    }

    #[test]
    fn a_peer_that_is_missing_leaves_no_target_met() {
        for target in [Target::AtLeast(0.5), Target::AtMost(9.0), Target::Completes] {
            let row = row(Some(target)).compare(Ok(&[2.0, 2.0]), Err("no such file"));
            assert_eq!((row.met(), row.ratio, row.spread), (Some(false), None, None));
            assert_eq!(row.failed, Some(Failed::Peer("no such file".into())));
            assert_eq!(row.values, [Some(2.0), None], "ours is known");
        }
        assert_eq!(row(None).compare(Ok(&[1.0]), Err("gone")).met(), None);
    }

    #[test]
    fn if_both_are_missing_it_is_ours_that_counts() {
        let row = row(Some(Target::Completes)).compare(Err("trapped"), Err("gone"));
        assert_eq!((row.met(), row.failed), (Some(false), Some(Failed::Ours("trapped".into()))));
        assert_eq!(self::row(None).absolute(Err("trapped")).failed, Some(Failed::Ours("trapped".into())));
    }
}
