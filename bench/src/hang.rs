//! wstd with a thousand connections: most get no answer where 128 or more are ready at once. That is no rate to compare in
//! rounds, but a fact to be measured: how many answers it gives in a time in which ours goes on.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Stood, stand};
use crate::measure::Plan;
use crate::peers::{Mode, Peer, Places, Server};
use crate::row::{Row, Series, slice};
use crate::targets::Target;

const CONNECTIONS: usize = 1000;

/// The row of wstd in `ping 1000`.
pub(crate) fn row(places: &Places, plan: Plan) -> Row {
    let time = Duration::from_secs(if plan.quick { 2 } else { 4 });
    let attempt =
        |peer: Peer| -> Result<Stood> { stand(Server::start(places, peer, Mode::Echo)?.address, CONNECTIONS, time) };
    let (mut ours, mut wstd, mut note) = (Ok(Vec::new()), Ok(Vec::new()), None);
    for _ in 0..2 {
        let stood = attempt(Peer::Ours).and_then(|stood| completes(stood, time).map(|()| stood));
        note_rate(&mut ours, &stood, time);
        let stood = attempt(Peer::Wstd);
        note_rate(&mut wstd, &stood, time);
        note = stood.ok().map(|stood| told(stood, time)).or(note);
    }
    let row = Row {
        test: "ping 1000".into(),
        peer: Peer::Wstd.name().into(),
        unit: "k requests/s",
        target: Some(Target::Completes),
        note,
        ..Row::default()
    };
    row.compare(slice(&ours), slice(&wstd))
}

/// Thousands in a second. None at all counts as one answer, so that there is a ratio: the true one is larger.
fn note_rate(rates: &mut Series, stood: &Result<Stood>, time: Duration) {
    match (rates.as_mut(), stood) {
        (Ok(rates), Ok(stood)) => rates.push(stood.answers.max(1) as f64 / time.as_secs_f64() / 1e3),
        (Ok(_), Err(error)) => *rates = Err(format!("{error:#}")),
        (Err(_), _) => {}
    }
}

fn completes(stood: Stood, time: Duration) -> Result<()> {
    ensure!(stood.answered == CONNECTIONS, "{} of {CONNECTIONS} connections had an answer", stood.answered);
    ensure!(stood.last > time * 3 / 4, "the last answer came after {:?} of {time:?}", stood.last);
    Ok(())
}

fn told(stood: Stood, time: Duration) -> String {
    let Stood { answers, answered, last } = stood;
    match completes(stood, time) {
        Ok(()) => format!("it went on for all of {time:?}, with {answers} answers"),
        Err(_) => {
            format!(
                "it starves most: {answers} answers to {answered} of {CONNECTIONS} in {time:?}, the last after {last:.2?}"
            )
        }
    }
}
