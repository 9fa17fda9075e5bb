/// What the broker fences a shard's output by: the group offset that this owner's own claim wrote, and the membership
/// with which the claim was made.
///
/// One for the whole life of a hold. Assignment is eager, so each rebalance revokes every shard and ends every hold,
/// and no hold outlives the membership that was read when its assignment was polled. (If a shard were kept over a
/// rebalance, each callback would have to refresh this; after a revocation or a loss nothing may.)
struct ShardFence: Sendable {
    let topic: String
    let shard: Int32
    /// The only offset that may be sent: another one would make the next claim miss numbers.
    let offset: Int64
    let metadata: GroupMetadata
}
