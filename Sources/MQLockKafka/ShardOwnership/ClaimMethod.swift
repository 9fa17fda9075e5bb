/// How an owner's claim gets into the lock topic.
public struct ClaimMethod: Hashable, Sendable, CustomStringConvertible {
    private enum Value: String { case transactional, acknowledged }
    private let value: Value

    /// In a transaction that the broker refuses when the claimer's membership is stale. The default.
    public static let transactional = Self(value: .transactional)
    /// Appended, acknowledged by all replicas, and read back as the newest. For brokers without transactions.
    ///
    /// The broker refuses nobody's claim, but a stale member never owns by it. What is weaker: output cannot be fenced
    /// (``FencedProducer`` refuses). A claim that a former owner appended late can stand as the newest and, once the
    /// topic has been compacted, hide a larger number. That numbers grow then depends on the hosts' clocks, which must
    /// not differ by more than the time until the topic is compacted. All members have to use the same method.
    public static let acknowledged = Self(value: .acknowledged)

    /// The method's name.
    public var description: String { value.rawValue }
}
