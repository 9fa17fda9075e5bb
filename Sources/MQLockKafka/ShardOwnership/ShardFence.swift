/// What the broker can fence a shard's output by: the group offset that this owner's own claim wrote, and the membership
/// that the claim was made with.
///
/// One for the whole life of a hold: assignment is eager, so each rebalance takes every shard and ends every hold, and no
/// hold outlives the membership that was taken when its assignment was polled. (Were a shard kept over a rebalance, each
/// callback would have to refresh this; after a revocation or a loss nothing may.)
struct ShardFence: Sendable {
    let topic: String
    let shard: Int32
    /// The only offset that may be sent: another one would make the next claim miss numbers.
    let offset: Int64
    let metadata: GroupMetadata
}
