//! Whose turn it is on a port. A device's queue keeps the order of the changes that wait in it; a
//! change over several devices gives back what it has when one of them is busy, and must not be
//! overtaken meanwhile: a detach that came after an attach would be undone by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::intent::{Request, Subject};
use crate::report::Refusal;
use crate::transaction::Budget;
use crate::transaction::journal;
use crate::transaction::shared::{Level, Stop};

/// What is changed: a device's lock file and a request's key on it.
type Place = (String, Subject);

/// Who waits for which place, in the order of arrival.
#[derive(Clone, Default)]
pub struct Turns(Arc<Inner>);

#[derive(Default)]
struct Inner {
    lines: Mutex<Lines>,
    /// Counts how often somebody left.
    left: watch::Sender<u64>,
}

#[derive(Default)]
struct Lines {
    tickets: u64,
    places: BTreeMap<Place, VecDeque<u64>>,
}

/// The right to go on; given back when dropped.
pub struct Turn {
    turns: Turns,
    ticket: u64,
    places: Vec<Place>,
}

impl Turns {
    /// Waits until all who came before and are after any of the same places are done. A request for
    /// one place that nobody is after needs no turn: its device's queue keeps the order.
    pub async fn take(
        &self,
        requests: &[Request],
        limit: usize,
        budget: Budget,
        stop: &Stop,
    ) -> Result<Option<Turn>, Refusal> {
        let Some(turn) = self.line_up(requests, limit)? else { return Ok(None) };
        let mut left = self.0.left.subscribe();
        let first = async {
            // It ends only with its sender, which the turn holds.
            left.wait_for(|_| turn.is_first()).await.map(drop).unwrap_or_default();
        };
        tokio::select! {
            biased;
            waited = timeout_at(budget.forward, first) => waited.map_err(|_| Refusal::Unreachable {
                device: requests[0].device.name.clone(),
                why: "an earlier change of the same port took all the time there was".to_owned(),
            })?,
            () = stop.reached(Level::Drain) => return Err(Refusal::Stopping),
        }
        Ok(Some(turn))
    }

    /// At the end of all lines in one step: two requests stand in the same order everywhere.
    fn line_up(&self, requests: &[Request], limit: usize) -> Result<Option<Turn>, Refusal> {
        let place = |request: &Request| (journal::file_name(&request.device.endpoint), request.key());
        let places: Vec<Place> = requests.iter().map(place).collect();
        let mut lines = self.lines();
        if places.len() < 2 && !places.iter().any(|place| lines.places.contains_key(place)) {
            return Ok(None);
        }
        for (request, place) in requests.iter().zip(&places) {
            let waiting = lines.places.get(place).map_or(0, VecDeque::len);
            if waiting > limit {
                return Err(Refusal::Busy { device: request.device.name.clone(), waiting });
            }
        }
        lines.tickets += 1;
        let ticket = lines.tickets;
        for place in &places {
            lines.places.entry(place.clone()).or_default().push_back(ticket);
        }
        Ok(Some(Turn { turns: self.clone(), ticket, places }))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn is_first(&self) -> bool {
        let lines = self.turns.lines();
        let is_first = |place| lines.places.get(place).and_then(VecDeque::front) == Some(&self.ticket);
        self.places.iter().all(is_first)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        for place in &self.places {
            if let Some(line) = lines.places.get_mut(place) {
                line.retain(|ticket| *ticket != self.ticket);
                if line.is_empty() {
                    lines.places.remove(place);
                }
            }
        }
        drop(lines);
        self.turns.0.left.send_modify(|left| *left += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::PortName;
    use crate::plan::tests::{detach, request};

    #[test]
    fn two_spellings_of_a_port_are_one_place() {
        for ignores_case in [false, true] {
            let mut device = crate::device::sample("leaf1");
            let mut profile = device.profile.as_ref().clone();
            profile.port_names_ignore_case = ignores_case;
            device.profile = profile.into();
            let other = crate::device::sample("leaf2");
            let both = [request(detach(None), device.clone()), request(detach(None), other)];
            let turns = Turns::default();
            let _turn = turns.line_up(&both, 9).unwrap();
            let mut one = request(detach(None), device);
            let upper = |port: &PortName| PortName::new(&port.as_str().to_uppercase(), "p");
            one.intent = one.intent.on_port(upper).unwrap();
            assert_eq!(turns.line_up(&[one], 9).unwrap().is_some(), ignores_case);
        }
    }
}
