//! Permits that are shared fairly: so many for a node, and of these so many for each request.
//!
//! A [`Limiter`] is a tree. A permit of a child holds one of its parent too, and of each limiter above; there is a permit
//! when all of them have one to give. What comes free at the top goes round among those below who can use it, one permit
//! each, so that a request with a thousand waiting delays another by one. Those who wait at one limiter are served in the
//! order in which they came.
//!
//! | a limiter is | it is in its parent's round |
//! |---|---|
//! | without anybody waiting, in it or below | no |
//! | at its own limit | no: nothing above could help those who wait |
//! | else | yes, once; behind the others after each permit |
//!
//! Whoever loses its reason to be in a round (all who waited there were dropped) is taken out of it when its turn comes.
//! One lock guards the whole tree. A permit or a wait costs as many steps as the tree is deep, not as many wait.

use std::{
    collections::VecDeque,
    fmt::{self, Debug, Formatter},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use slab::Slab;

use crate::{
    loom::{Mutex, lock},
    sync::{Line, Wait, Waiting, Wakes},
};

/// A number of permits, shared fairly by those who ask here and by limiters below; a clone is the same limiter.
///
/// ```
/// use ostia_rt::Limiter;
///
/// let node = Limiter::new(3);
/// let request = node.child(2);
/// let first = request.try_acquire().expect("two of the request, three of the node");
/// let second = request.try_acquire().expect("one and two");
/// assert!(request.try_acquire().is_none(), "the request has no more");
/// let other = node.try_acquire().expect("the node has one more");
/// assert_eq!(node.stats().in_use, 3);
/// drop((first, second, other));
/// assert_eq!((node.stats().in_use, node.stats().in_use_max), (0, 3));
/// ```
#[derive(Clone)]
pub struct Limiter {
    seat: Arc<Seat>,
}

/// The figures of a [`Limiter`], with those of the limiters below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many permits there are.
    pub limit: usize,
    /// How many are held.
    pub in_use: usize,
    /// How many were held at most.
    pub in_use_max: usize,
    /// How many wait for one.
    pub waiting: usize,
    /// How many waited at most.
    pub waiting_max: usize,
    /// How many permits were given out in all.
    pub given: u64,
    /// How many requests for a permit had to wait.
    pub waited: u64,
}

impl Limiter {
    /// A limiter that stands alone.
    ///
    /// # Panics
    ///
    /// If the limit is 0: nobody would ever get a permit.
    #[track_caller]
    pub fn new(limit: usize) -> Self {
        let mut tree = Tree { nodes: Slab::new() };
        let node = tree.nodes.insert(Node::new(limit, None));
        Self { seat: Arc::new(Seat { tree: Arc::new(Mutex::new(tree)), node, above: None }) }
    }

    /// A limiter whose permits are also permits of this one. It may have a higher limit; then this one's counts.
    ///
    /// # Panics
    ///
    /// If the limit is 0: nobody would ever get a permit.
    #[track_caller]
    pub fn child(&self, limit: usize) -> Self {
        let node = Node::new(limit, Some(self.seat.node));
        let node = lock(&self.seat.tree).nodes.insert(node);
        let tree = Arc::clone(&self.seat.tree);
        Self { seat: Arc::new(Seat { tree, node, above: Some(Arc::clone(&self.seat)) }) }
    }

    /// Waits for a permit.
    ///
    /// # Cancel safety
    ///
    /// A permit that was given to a future which is then dropped goes to the next whose turn it is. Its place in line is
    /// lost.
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire(Waiting::new(&self.seat.tree, Wanted { seat: &self.seat }))
    }

    /// A permit, if there is one; then nobody waits whom it would pass.
    pub fn try_acquire(&self) -> Option<Permit> {
        lock(&self.seat.tree).try_take(self.seat.node).then(|| Permit { seat: Arc::clone(&self.seat) })
    }

    /// Its figures at this moment.
    pub fn stats(&self) -> Stats {
        lock(&self.seat.tree).nodes[self.seat.node].stats
    }
}

impl Debug for Limiter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("stats", &self.stats()).finish()
    }
}

/// The right to do one thing of those that a [`Limiter`] counts; it goes to the next when it is dropped.
#[must_use = "the permit goes back at once"]
pub struct Permit {
    seat: Arc<Seat>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut wakes = Wakes::none();
        lock(&self.seat.tree).give_back(self.seat.node, &mut wakes);
        wakes.wake();
    }
}

impl Debug for Permit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// Ends with a permit; made by [`Limiter::acquire`].
///
/// # Panics
///
/// If it is polled after it has ended.
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Acquire<'a>(Waiting<'a, Wanted<'a>>);

impl Future for Acquire<'_> {
    type Output = Permit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        Pin::new(&mut self.get_mut().0).poll(cx)
    }
}

struct Wanted<'a> {
    seat: &'a Arc<Seat>,
}

impl Wait for Wanted<'_> {
    type State = Tree;
    type Item = ();
    type Output = Permit;

    fn line<'s>(&self, tree: &'s mut Tree) -> &'s mut Line<()> {
        &mut tree.nodes[self.seat.node].line
    }

    fn arrive(&mut self, tree: &mut Tree, _wakes: &mut Wakes) -> Option<Permit> {
        tree.try_take(self.seat.node).then(|| Permit { seat: Arc::clone(self.seat) })
    }

    fn join(&mut self, tree: &mut Tree) {
        tree.join(self.seat.node);
    }

    fn called(&mut self, (): (), _tree: &mut Tree, _wakes: &mut Wakes) -> Permit {
        Permit { seat: Arc::clone(self.seat) }
    }

    fn withdraw(&mut self, (): &mut (), called: bool, tree: &mut Tree, wakes: &mut Wakes) {
        if called {
            tree.give_back(self.seat.node, wakes);
        } else {
            tree.each_above(self.seat.node, |node| node.stats.waiting -= 1);
        }
    }
}

/// A limiter's place in its tree. All who have to do with it hold a count on it: handles, permits, those who wait (by
/// their handle), and the limiters below. So when it is dropped nothing of it is in use.
struct Seat {
    tree: Arc<Mutex<Tree>>,
    node: usize,
    above: Option<Arc<Seat>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let node = lock(&self.tree).remove(self.node);
        debug_assert_eq!((node.stats.in_use, node.stats.waiting), (0, 0), "each of them holds a count");
        // A long chain of limiters ends one after the other, not one inside the other.
        let mut above = self.above.take();
        while let Some(mut seat) = above.and_then(Arc::into_inner) {
            above = seat.above.take();
        }
    }
}

struct Tree {
    nodes: Slab<Node>,
}

struct Node {
    above: Option<usize>,
    stats: Stats,
    /// Those who wait for a permit of this very limiter.
    line: Line<()>,
    /// Who gets the next permit, and then goes to the end: each at most once.
    round: VecDeque<Turn>,
    /// Whether this limiter is in the round of the one above.
    in_round: bool,
    /// Whether its own line is in its round.
    own_in_round: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Those who wait at this very limiter.
    Own,
    /// Those who wait at the limiter with this number, or below.
    Below(usize),
}

impl Node {
    #[track_caller]
    fn new(limit: usize, above: Option<usize>) -> Self {
        assert!(limit > 0, "of a limiter without permits nobody would ever get one");
        let stats = Stats { limit, ..Stats::default() };
        Self { above, stats, line: Line::new(), round: VecDeque::new(), in_round: false, own_in_round: false }
    }

    fn has_room(&self) -> bool {
        self.stats.in_use < self.stats.limit
    }

    fn give(&mut self) {
        self.stats.in_use += 1;
        self.stats.in_use_max = self.stats.in_use_max.max(self.stats.in_use);
        self.stats.given += 1;
    }
}

/// What has no limiter above it. It was the first in its tree, and outlives all others.
const TOP: usize = 0;

impl Tree {
    /// Does something with a limiter and all above it.
    fn each_above(&mut self, node: usize, mut deed: impl FnMut(&mut Node)) {
        let mut at = Some(node);
        while let Some(node) = at {
            let node = &mut self.nodes[node];
            deed(node);
            at = node.above;
        }
    }

    /// Takes a permit if each limiter on the way up has one. If so nobody waits here: whoever could have had it has got
    /// it when it came free.
    fn try_take(&mut self, node: usize) -> bool {
        let mut room = true;
        self.each_above(node, |node| room &= node.has_room());
        if room {
            debug_assert!(self.nodes[node].line.is_empty(), "what is free has been given out");
            self.each_above(node, Node::give);
        }
        room
    }

    /// Somebody is about to join the line of a limiter.
    fn join(&mut self, node: usize) {
        self.each_above(node, |node| {
            node.stats.waiting += 1;
            node.stats.waiting_max = node.stats.waiting_max.max(node.stats.waiting);
            node.stats.waited += 1;
        });
        let own = &mut self.nodes[node];
        if !own.own_in_round {
            own.own_in_round = true;
            own.round.push_back(Turn::Own);
        }
        self.enter_rounds(node);
    }

    /// On the way up, each limiter that has somebody to serve and may do so is in the round above it.
    fn enter_rounds(&mut self, node: usize) {
        let mut at = node;
        while let Some(above) = self.nodes[at].above {
            let node = &mut self.nodes[at];
            if !node.in_round && !node.round.is_empty() && node.has_room() {
                node.in_round = true;
                self.nodes[above].round.push_back(Turn::Below(at));
            }
            at = above;
        }
    }

    /// A permit comes back, and goes to the next whose turn it is.
    fn give_back(&mut self, node: usize, wakes: &mut Wakes) {
        self.each_above(node, |node| node.stats.in_use -= 1);
        self.enter_rounds(node);
        // At most one can be served. Each who waits had a full limiter above; the topmost of those that were full, and
        // have room for one now, is above all who can be served now.
        if let Some(node) = self.next() {
            self.serve(node, wakes);
        }
    }

    /// The limiter whose line is served next, if anybody can be. The way to it leads over the first in each round.
    fn next(&mut self) -> Option<usize> {
        let mut at = TOP;
        loop {
            let node = &mut self.nodes[at];
            if node.has_room() {
                match node.round.front().copied() {
                    Some(Turn::Own) if node.line.is_empty() => {
                        // All who waited here were dropped.
                        node.round.pop_front();
                        node.own_in_round = false;
                        continue;
                    }
                    Some(Turn::Own) => return Some(at),
                    Some(Turn::Below(below)) => {
                        at = below;
                        continue;
                    }
                    None => {}
                }
            }
            // Nobody here can be served: it loses its turn above.
            let above = node.above?;
            node.in_round = false;
            let turn = self.nodes[above].round.pop_front();
            debug_assert_eq!(turn, Some(Turn::Below(at)), "the way down led over the first in the round");
            at = above;
        }
    }

    /// Gives a permit to the first in line of the limiter that `next` found, and moves all who had their turn on the
    /// way to the end of their rounds.
    fn serve(&mut self, node: usize, wakes: &mut Wakes) {
        let own = &mut self.nodes[node];
        let called = own.line.call(wakes);
        debug_assert!(called.is_some(), "a line that is served has somebody in it");
        own.round.pop_front();
        own.own_in_round = !own.line.is_empty();
        if own.own_in_round {
            own.round.push_back(Turn::Own);
        }
        let mut at = node;
        loop {
            let node = &mut self.nodes[at];
            node.stats.waiting -= 1;
            node.give();
            let Some(above) = node.above else { return };
            node.in_round = node.has_room() && !node.round.is_empty();
            let stays = node.in_round;
            let round = &mut self.nodes[above].round;
            round.pop_front();
            if stays {
                round.push_back(Turn::Below(at));
            }
            at = above;
        }
    }

    /// Forgets a limiter that nobody has any more.
    fn remove(&mut self, node: usize) -> Node {
        let removed = self.nodes.remove(node);
        if removed.in_round
            && let Some(above) = removed.above
        {
            self.nodes[above].round.retain(|turn| *turn != Turn::Below(node));
        }
        removed
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::hand::{Hand, now, panics};

    #[test]
    fn a_permit_of_a_child_is_one_of_the_parent() {
        let node = Limiter::new(2);
        let (one, two) = (node.child(2), node.child(2));
        let first = one.try_acquire().expect("two are there");
        let second = two.try_acquire().expect("one is there");
        assert!(one.try_acquire().is_none() && node.try_acquire().is_none());
        assert_eq!((one.stats().in_use, two.stats().in_use, node.stats().in_use), (1, 1, 2));
        drop(first);
        assert_eq!((one.stats().in_use, node.stats().in_use), (0, 1));
        drop(second);
    }

    #[test]
    fn a_request_with_many_waiting_delays_another_by_one() {
        let node = Limiter::new(1);
        let (greedy, modest) = (node.child(1000), node.child(1000));
        let held = node.try_acquire().expect("it is there");
        let mut many: Vec<_> = (0..100).map(|_| Hand::new(greedy.acquire())).collect();
        assert!(many.iter_mut().all(|hand| hand.poll().is_pending()));
        let mut one = Hand::new(modest.acquire());
        assert!(one.poll().is_pending());
        drop(held);
        assert_eq!((many[0].wakes(), one.wakes()), (1, 0));
        drop(many[0].poll());
        assert_eq!((many[1].wakes(), one.wakes()), (0, 1));
        drop(one.poll());
        assert_eq!(many[1].wakes(), 1);
    }

    #[test]
    fn those_who_wait_at_the_node_itself_are_one_in_the_round() {
        let node = Limiter::new(1);
        let child = node.child(1);
        let held = node.try_acquire().expect("it is there");
        let mut own = [(); 2].map(|()| Hand::new(node.acquire()));
        let mut below = [(); 2].map(|()| Hand::new(child.acquire()));
        for hand in own.iter_mut().chain(&mut below) {
            assert!(hand.poll().is_pending());
        }
        drop(held);
        drop(own[0].poll());
        drop(below[0].poll());
        drop(own[1].poll());
        assert!(below[1].poll().is_ready());
    }

    #[test]
    fn who_is_at_its_own_limit_holds_up_nobody() {
        let node = Limiter::new(2);
        let (narrow, wide) = (node.child(1), node.child(2));
        let _narrow = narrow.try_acquire().expect("it is there");
        let held = wide.try_acquire().expect("it is there");
        let (mut blocked, mut other) = (Hand::new(narrow.acquire()), Hand::new(wide.acquire()));
        assert!(blocked.poll().is_pending() && other.poll().is_pending());
        drop(held);
        assert_eq!((blocked.wakes(), other.wakes()), (0, 1));
    }

    #[test]
    fn a_permit_given_to_a_dropped_future_goes_to_the_next() {
        let node = Limiter::new(1);
        let (one, two) = (node.child(1), node.child(1));
        let held = node.try_acquire().expect("it is there");
        let (mut first, mut second) = (Hand::new(one.acquire()), Hand::new(two.acquire()));
        assert!(first.poll().is_pending() && second.poll().is_pending());
        drop(held);
        assert_eq!((first.wakes(), second.wakes()), (1, 0));
        drop(first);
        assert_eq!(second.wakes(), 1);
        drop(second);
        assert_eq!((node.stats().in_use, node.stats().waiting), (0, 0));
        assert!(now(node.acquire()).is_some());
    }

    #[test]
    fn figures_count_what_is_what_was_and_what_was_at_most() {
        let node = Limiter::new(1);
        let child = node.child(5);
        let held = child.try_acquire().expect("it is there");
        let mut waiting = [(); 3].map(|()| Hand::new(child.acquire()));
        assert!(waiting.iter_mut().all(|hand| hand.poll().is_pending()));
        drop(held);
        drop(waiting);
        // Each of the three was given one when the one before it was dropped.
        let stats = node.stats();
        let expected =
            Stats { limit: 1, in_use: 0, in_use_max: 1, waiting: 0, waiting_max: 3, given: 4, waited: 3 };
        assert_eq!(stats, expected);
        assert_eq!(Stats { limit: 1, ..child.stats() }, stats);
    }

    #[test]
    fn a_limiter_whose_waiters_were_dropped_leaves_no_trace() {
        let node = Limiter::new(1);
        let held = node.try_acquire().expect("it is there");
        for _ in 0..3 {
            let child = node.child(1);
            assert!(now(child.acquire()).is_none());
        }
        let child = node.child(1);
        let mut waiting = Hand::new(child.acquire());
        assert!(waiting.poll().is_pending());
        assert_eq!(lock(&node.seat.tree).nodes[TOP].round.len(), 1);
        assert_eq!(lock(&node.seat.tree).nodes.len(), 2);
        drop(held);
        assert!(waiting.poll().is_ready());
    }

    #[test]
    fn a_permit_and_a_child_outlive_the_handles_of_the_parent() {
        let grandchild = Limiter::new(1).child(1).child(1);
        let permit = grandchild.try_acquire().expect("it is there");
        assert!(grandchild.try_acquire().is_none());
        drop(grandchild);
        drop(permit);
    }

    #[test]
    fn a_long_chain_of_limiters_ends() {
        let mut limiter = Limiter::new(1);
        for _ in 0..20_000 {
            limiter = limiter.child(1);
        }
        drop(limiter.try_acquire().expect("it is there"));
        drop(limiter);
    }

    #[test]
    fn a_waker_that_panics_keeps_no_permit() {
        let node = Limiter::new(1);
        let held = node.try_acquire().expect("it is there");
        let mut waiting = Hand::new(node.acquire());
        assert!(waiting.poll().is_pending());
        waiting.when_woken(|| panic!("a waker of ill will"));
        assert!(panics(|| drop(held)));
        drop(waiting);
        assert_eq!(node.stats().in_use, 0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask(usize),
        Try(usize),
        Poll(usize),
        Cancel(usize),
        GiveBack(usize),
        /// The last handle of a limiter is dropped, if it has no permits and nobody waits; a new one takes its place.
        Replace(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            5 => any::<usize>().prop_map(Step::Ask),
            1 => any::<usize>().prop_map(Step::Try),
            3 => any::<usize>().prop_map(Step::Poll),
            1 => any::<usize>().prop_map(Step::Cancel),
            4 => any::<usize>().prop_map(Step::GiveBack),
            1 => any::<usize>().prop_map(Step::Replace),
        ]
    }

    /// Which limiter is whose: a node, three requests, two parts of the first and one of the second.
    const ABOVE: [Option<usize>; 7] = [None, Some(0), Some(0), Some(0), Some(1), Some(1), Some(2)];

    fn path(at: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(at), |at| ABOVE[*at])
    }

    /// What is known from outside: who holds how many, and who waits in which order.
    struct Model {
        limits: Vec<usize>,
        held: Vec<usize>,
        lines: Vec<VecDeque<u32>>,
        /// How often each limiter's turn came while another at the same parent could have been served: `[passed][by]`.
        /// The own line of a limiter stands as itself.
        passed: Vec<Vec<u32>>,
    }

    impl Model {
        fn has_room(&self, at: usize) -> bool {
            let below = (0..ABOVE.len()).filter(|below| path(*below).any(|on| on == at));
            below.map(|below| self.held[below]).sum::<usize>() < self.limits[at]
        }

        /// Whether somebody waits there whom a permit of the parent would help.
        fn wants(&self, at: usize) -> bool {
            self.has_room(at)
                && (!self.lines[at].is_empty()
                    || (0..ABOVE.len()).any(|below| ABOVE[below] == Some(at) && self.wants(below)))
        }

        /// Somebody at this limiter got a permit after waiting: those beside it on the way have been passed once more.
        fn served(&mut self, at: usize) -> Result<(), TestCaseError> {
            let mut turn = at;
            for parent in path(at) {
                let beside = (0..ABOVE.len()).filter(|one| ABOVE[*one] == Some(parent) || *one == parent);
                for other in beside.collect::<Vec<_>>() {
                    let waits =
                        if other == parent { !self.lines[other].is_empty() } else { self.wants(other) };
                    if other == turn || !waits {
                        self.passed[other].fill(0);
                    } else {
                        self.passed[other][turn] += 1;
                        prop_assert!(self.passed[other][turn] <= 1, "{other} was passed twice by {turn}");
                    }
                }
                turn = parent;
            }
            Ok(())
        }
    }

    proptest! {
        /// No limit is broken, nobody waits who could be served, each line is in order, and nobody is passed twice by
        /// another while it could have been served.
        #[test]
        fn permits_are_shared_fairly(
            limits in prop::collection::vec(1..4_usize, 7),
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let mut limiters: Vec<Limiter> = Vec::new();
            for (limit, above) in limits.iter().zip(ABOVE) {
                limiters.push(match above {
                    None => Limiter::new(*limit),
                    Some(above) => limiters[above].child(*limit),
                });
            }
            let mut model = Model {
                held: vec![0; 7],
                lines: vec![VecDeque::new(); 7],
                passed: vec![vec![0; 7]; 7],
                limits,
            };
            // Each future owns its handle, so that the list of handles can change.
            let acquire = |limiter: &Limiter| {
                let limiter = limiter.clone();
                Hand::new(async move { limiter.acquire().await })
            };
            let mut number = 0;
            let mut permits: Vec<(usize, Permit)> = Vec::new();
            let mut waiting = Vec::new();
            for step in steps {
                match step {
                    Step::Ask(at) => {
                        let at = at % 7;
                        let mut hand = acquire(&limiters[at]);
                        let room = path(at).all(|on| model.has_room(on));
                        match hand.poll() {
                            Poll::Ready(permit) => {
                                prop_assert!(room);
                                model.held[at] += 1;
                                permits.push((at, permit));
                            }
                            Poll::Pending => {
                                prop_assert!(!room);
                                number += 1;
                                model.lines[at].push_back(number);
                                waiting.push((at, number, hand));
                            }
                        }
                    }
                    Step::Try(at) => {
                        let at = at % 7;
                        let permit = limiters[at].try_acquire();
                        prop_assert_eq!(permit.is_some(), path(at).all(|on| model.has_room(on)));
                        model.held[at] += usize::from(permit.is_some());
                        permits.extend(permit.map(|permit| (at, permit)));
                    }
                    Step::Poll(which) if !waiting.is_empty() => {
                        let which = which % waiting.len();
                        let (at, number, hand) = &mut waiting[which];
                        let called = !model.lines[*at].contains(number);
                        if let Poll::Ready(permit) = hand.poll() {
                            prop_assert!(called);
                            permits.push((*at, permit));
                            waiting.swap_remove(which);
                        } else {
                            prop_assert!(!called);
                        }
                    }
                    Step::Cancel(which) if !waiting.is_empty() => {
                        let (at, number, hand) = waiting.swap_remove(which % waiting.len());
                        match model.lines[at].iter().position(|other| *other == number) {
                            Some(place) => drop(model.lines[at].remove(place)),
                            None => model.held[at] -= 1,
                        }
                        drop(hand);
                    }
                    Step::GiveBack(which) if !permits.is_empty() => {
                        let (at, permit) = permits.swap_remove(which % permits.len());
                        model.held[at] -= 1;
                        drop(permit);
                    }
                    Step::Replace(at) => {
                        // Those without limiters below, so that nothing else has to go with it.
                        let at = 3 + at % 4;
                        if model.held[at] == 0 && model.lines[at].is_empty() {
                            limiters[at] = limiters[ABOVE[at].unwrap_or(0)].child(model.limits[at]);
                            model.passed[at].fill(0);
                            model.passed.iter_mut().for_each(|by| by[at] = 0);
                        }
                    }
                    Step::Poll(_) | Step::Cancel(_) | Step::GiveBack(_) => {}
                }
                // Who was woken by this step is the first of its line, and the only one.
                let woken: Vec<(usize, u32)> = waiting
                    .iter()
                    .filter(|(at, number, hand)| hand.wakes() > 0 && model.lines[*at].contains(number))
                    .map(|(at, number, _)| (*at, *number))
                    .collect();
                prop_assert!(woken.len() <= 1);
                for (at, number) in woken {
                    prop_assert_eq!(model.lines[at].pop_front(), Some(number), "first come, first served");
                    model.held[at] += 1;
                    model.served(at)?;
                }
                for (at, limiter) in limiters.iter().enumerate() {
                    let could = !model.lines[at].is_empty() && path(at).all(|on| model.has_room(on));
                    prop_assert!(!could, "somebody waits at {} who could be served", at);
                    if !model.wants(at) {
                        model.passed[at].fill(0);
                    }
                    let stats = limiter.stats();
                    let below: Vec<_> = (0..7).filter(|below| path(*below).any(|on| on == at)).collect();
                    prop_assert!(stats.in_use <= stats.limit && stats.in_use <= stats.in_use_max);
                    prop_assert_eq!(stats.in_use, below.iter().map(|at| model.held[*at]).sum::<usize>());
                    prop_assert_eq!(stats.waiting, below.iter().map(|at| model.lines[*at].len()).sum::<usize>());
                }
            }
            drop((permits, waiting));
            prop_assert_eq!((limiters[0].stats().in_use, limiters[0].stats().waiting), (0, 0));
        }
    }
}
