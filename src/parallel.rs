//! The same work for many items, on as many threads as there are processors.

/// What `work` makes of each of `items`, in their order.
pub fn map<Item: Sync, Made: Send>(items: &[Item], work: impl Fn(&Item) -> Made + Sync) -> Vec<Made> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let runs: Vec<_> = items
            .chunks(share)
            .map(|items| scope.spawn(move || items.iter().map(work).collect::<Vec<_>>()))
            .collect();
        let made = runs.into_iter().flat_map(|run| {
            run.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        made.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1001).collect();
        let twice: Vec<usize> = items.iter().map(|item| 2 * item).collect();
        assert_eq!(map(&items, |item| 2 * item), twice);
        assert_eq!(map(&[] as &[usize], |item| 2 * item), [0_usize; 0]);
    }
}
