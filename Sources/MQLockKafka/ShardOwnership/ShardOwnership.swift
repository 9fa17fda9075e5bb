public import MQLock

/// Tells at every instant which shards of a topic this process may act for.
///
/// A topic's partitions are the shards. A name belongs to the shard that a record with that key would go to. The group
/// assigns the topic's shards to its members. A shard is owned once its claim, which carries a fencing token, is
/// written and confirmed, and as long as the cluster cannot have assigned it to another member. After that nothing of
/// it is valid, even when this process has not been notified.
///
/// ```swift
/// let ownership = try ShardOwnership(.init(topic: "orders.locks", partitions: 12))
/// async let running: Void = ownership.run()
/// try await ownership.withShard(of: "customer-42", within: .seconds(30)) { lease in
///     try await handle(order, fence: lease.fencingToken)      // cancelled when the shard has to be given up
/// }
/// ```
public final class ShardOwnership: Sendable {
    private let settings: OwnershipSettings
    private let configuration: Configuration
    private let clock: any LockClock
    let board: OwnershipBoard
    /// Nil when there is no topic of records.
    let recordConsumer: RecordConsumer?
    /// Shards with a record whose key belongs to another shard.
    let misplaced = Locked<Set<Int>>([])
    var owner: String { configuration.owner }
    var claims: ClaimMethod { configuration.claims }
    var connection: KafkaConnection { configuration.connection }
    var topic: String { configuration.topic }
    var group: String { settings.claims.group }
    var records: String? { configuration.records }
    var partitioner: Partitioner { configuration.partitioner }
    var partitions: Int { configuration.partitions }
    /// The current membership.
    var driver: OwnershipDriver? { life.withLock { $0.isLeaving ? nil : $0.driver } }

    /// Whether ``run()`` has been called.
    var hasRun: Bool { life.withLock { $0.hasRun } }

    private struct Life {
        var hasRun = false
        /// Asked to end, possibly before it began.
        var isLeaving = false
        var driver: OwnershipDriver?
        /// Replaces memberships until none is needed.
        var keeping: Task<LockError?, Never>?
    }
    private let life = Locked(Life())

    /// Creates an ownership; no I/O happens before ``run()``.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    public convenience init(_ configuration: Configuration) throws(LockError) {
        try self.init(configuration, clock: SystemLockClock())
    }

    /// - Parameters:
    ///   - validity: how long a renewal counts; for tests of the proof.
    ///   - grantsPerClaim: for tests too; after how many grants another claim is needed.
    package init(
        _ configuration: Configuration, clock: any LockClock, validity: Duration? = nil,
        grantsPerClaim: UInt64? = nil
    ) throws(LockError) {
        var settings = try OwnershipSettings(configuration)
        if let grantsPerClaim { settings.grantsPerClaim = grantsPerClaim }
        if let validity { settings.timing.margin = settings.timing.session - validity }
        self.settings = settings
        self.configuration = configuration
        recordConsumer = settings.records.map { [claims = settings.claims] in
            RecordConsumer(
                claims.connection, topic: $0, group: claims.group, transactionTimeout: claims.transactionTimeout)
        }
        self.clock = clock
        board = OwnershipBoard(partitions: configuration.partitions, configuration.partitioner)
    }

    /// Is a member of the group until the calling task is cancelled or ``shutdown()`` is called. Then it claims nothing
    /// more, lets the work on its shards end (``Configuration/drainTimeout``), and leaves within another half session
    /// (a second at least), even when no broker answers. Memberships that fail are replaced by new ones.
    /// - Throws: `LockError` when it makes no sense to continue: `incompatible` for a topic that has not existed for at
    ///   least five seconds, or has another number of partitions; `accessRefused` when the first transaction is
    ///   refused; the code of any other permanent error, such as `invalidConfiguration` for a session that the brokers
    ///   refuse; `tokenRegression` for a number in the topic that is further ahead than
    ///   ``Configuration/toleratedLead``; `alreadyRunning` when called twice. Trouble that may pass, but lasts, is
    ///   reported by a ``ShardEvent/Kind/warning``.
    public func run() async throws(LockError) {
        let keeping = life.withLock { life -> Task<LockError?, Never>? in
            guard !life.hasRun else { return nil }
            life.hasRun = true
            life.keeping = Task {
                warnOfExposure()
                return await keepMembership()
            }
            return life.keeping
        }
        guard let keeping else { throw LockError(.alreadyRunning, "a shard ownership runs once; make a new one") }
        let failure = await withTaskCancellationHandler {
            await keeping.value
        } onCancel: {
            leave()
        }
        life.withLock { ($0.isLeaving, $0.driver, $0.keeping) = (true, nil, nil) }
        board.finish()
        if let failure { throw failure }
    }

    /// Ends ``run()`` from anywhere, like the cancellation of its task, and returns when it has ended. Work on a shard
    /// can call it too; that work is then waited for no longer than the drain takes. When called before ``run()``, that
    /// ends at once. Cancellation does not cut it short. Calling it again only waits.
    public func shutdown() async {
        leave()
        // Streams of events end when the run does. This one is read in a task that is never cancelled.
        await Task { for await _ in events {} }.value
    }

    private func leave() {
        let (driver, keeping, hasRun) = life.withLock { life in
            life.isLeaving = true
            return (life.driver, life.keeping, life.hasRun)
        }
        driver?.leave()
        // Between two memberships it sleeps.
        keeping?.cancel()
        if !hasRun { board.finish() }
    }

    /// Before anything is sent; it blocks nothing.
    private func warnOfExposure() {
        guard let exposure = connection.exposure else { return }
        board.tell(ShardEvent(.warning, reason: LossReason(.partitionLost, exposure)))
        board.renewals.tell(LockEvent(.warning, at: clock.now, owner: owner, detail: exposure))
    }

    private func keepMembership() async -> LockError? {
        let backoff = GrowingDelay(configuration.backoff)
        var failures = 0
        while true {
            let driver: OwnershipDriver
            do throws(LockError) {
                driver = try OwnershipDriver(settings, board, clock: clock)
            } catch {
                return error
            }
            let mayRun = life.withLock { life in
                guard !life.isLeaving else { return false }
                life.driver = driver
                return true
            }
            guard mayRun else { return nil }
            let start = clock.now
            let end = await driver.run()
            life.withLock { $0.driver = nil }
            switch end {
            case .left: return nil
            case .refused(let text): return driver.refusal ?? LockError(.incompatible, text)
            case .failed: break
            }
            // After a membership that lasted, delays start from the shortest again.
            if start.duration(to: clock.now) > settings.timing.session * 2 { failures = 0 }
            failures += 1
            do {
                try await clock.sleep(until: clock.now.after(backoff.delay(before: failures)))
            } catch {
                return nil
            }
        }
    }

    // MARK: Looking

    /// The shard that a name belongs to: the partition of a record with that key, according to the configured
    /// partitioner. The default is that of Java's client.
    public func shard(of name: LockName) -> Int {
        Int(configuration.partitioner.partition(of: name.utf8, count: configuration.partitions))
    }

    /// Whether this process owns the shard of `name`. No I/O. False from the instant at which the cluster *could* have
    /// assigned it to another member.
    public func owns(_ name: LockName) -> Bool { board.hold(Int32(shard(of: name)))?.isValid ?? false }

    /// The shards that this process owns, in order.
    public var owned: [Int] { board.owned.map(Int.init) }

    /// The lease on a whole shard, one for as long as it is owned without a break; `nil` when it is not owned.
    ///
    /// A rebalance does not wait for this lease: use ``withShard(of:_:)-(LockName,_)`` for work that has to end first.
    public func lease(for shard: Int) -> Lease? {
        guard (0..<configuration.partitions).contains(shard), let hold = board.hold(Int32(shard)), hold.isValid else {
            return nil
        }
        return Lease(hold.lease)
    }

    /// The events of shards from now on, beginning with those that are owned. Ends when ``run()`` does. A reader that
    /// does not keep up misses the oldest events.
    public var events: AsyncStream<ShardEvent> { board.subscribe() }

    // MARK: Working

    /// Waits until the group has assigned its shards and this process owns all of its own; there may be none. For
    /// callers that begin work as soon as ``run()`` has been started, when nothing is owned yet.
    /// - Throws: `LockError`: `timedOut` after `limit`, with what stands in the way; `cancelled`; `shutDown` when the
    ///   ownership has ended.
    public func ready(within limit: Duration? = nil) async throws(LockError) {
        let topic = try LockName(configuration.topic)
        try await board.settle(topic, until: limit.map { ContinuousClock.now.after($0) })
    }

    /// Runs `body` while this process owns the shard of `name`. Its task is cancelled as soon as the shard has to be
    /// released. The lease then stays valid until the body or the drain ends.
    ///
    /// Many bodies can run for one shard at the same time. Within a process, use ``ShardLocks`` to keep names apart.
    /// - Throws: `LockError` with code `notOwner` when the shard is not owned; `lost` when it was lost before the body
    ///   ended, with the body's own error as the underlying one; else what the body threw.
    public func withShard<R: Sendable>(
        of name: LockName, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let (hold, record) = try await grant(name)
        return try await work(hold, record, body)
    }

    /// Like ``withShard(of:_:)-(LockName,_)``, but waits for the shard as long as it may still become ours: while the
    /// group is being joined or rebalanced, or the shard's claim is under way.
    /// - Parameters:
    ///   - name: a name of the shard.
    ///   - limit: for the wait, not for the body.
    ///   - body: as there.
    /// - Throws: `LockError`: `notOwner` as soon as the group has assigned the shard to another member; `timedOut`,
    ///   with what stands in the way; `shutDown` when the ownership has ended; else the same.
    public func withShard<R: Sendable>(
        of name: LockName, within limit: Duration, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let (hold, record) = try await grant(name, until: ContinuousClock.now.after(limit))
        return try await work(hold, record, body)
    }

    /// Runs `body` while this process owns a shard, like ``withShard(of:_:)-(LockName,_)`` for a name. For work on all
    /// names of the shard, such as consuming the partition of that number. The lease is on the name `shard/<number>`,
    /// with a token of its own.
    /// - Throws: also `notOwner` for a number that no shard has.
    public func withShard<R: Sendable>(
        _ shard: Int, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let name = try LockName("shard/\(shard)")
        guard (0..<configuration.partitions).contains(shard) else {
            throw LockError(.notOwner, "the topic has no shard \(shard)")
        }
        guard let (hold, record) = try grant(name, of: Int32(shard)) else {
            throw LockError(.notOwner, "this process does not own shard \(shard) now")
        }
        return try await work(hold, record, body)
    }

    private func work<R: Sendable>(
        _ hold: ShardHold, _ record: LeaseRecord, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let (draining, signal) = AsyncStream.makeStream(of: Never.self)
        hold.onDrain(record) { signal.finish() }
        return try await hold.held(record).runUntilLost({ for await _ in draining {} }, body)
    }
}
