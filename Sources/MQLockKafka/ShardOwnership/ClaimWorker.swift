import MQLock

/// Steps 1 to 3 of a claim, on a thread of its own: every call of the library's here blocks.
///
/// 1. wait until no earlier owner's transaction is open on the group's offset of the shard;
/// 2. read the largest number of all claims up to the high watermark of then, aborted ones included;
/// 3. append a larger one; in one transaction with the watermark as group offset and the membership of the assignment,
///    which the broker checks, where it has transactions.
final class ClaimWorker: @unchecked Sendable {
    typealias Claim = OwnershipMachine.Claim
    typealias Outcome = OwnershipMachine.ClaimOutcome

    /// What is claimed where.
    struct Settings: Sendable {
        var connection: KafkaConnection
        var topic: String
        var group: String
        var partitions: Int
        var owner: String
        var method = ClaimMethod.transactional
        /// After which the broker aborts a transaction whose owner is gone: as long may step 1 take.
        var transactionTimeout: Duration = .seconds(10)
        /// For each other question to the broker.
        var requestTimeout: Duration = .seconds(5)
        /// Longer than this no claim may take: its owner may have been stopped, and another have come after it. Nil where
        /// the broker refuses such a claim.
        var patience: Duration?
    }

    private struct Abandoned: Error {}
    private struct TopicUnseen: Error {}

    private let settings: Settings
    private let queue = BlockingQueue("claims")
    // Used on the queue only.
    private var readers: OnDemand<ReaderPair, LockError>
    private let writer: any ClaimWriter
    private var hasSeenTopic = false
    /// The largest numbers that this worker has claimed: no later one may be below, whatever has become of the topic.
    private var claimed: [Int32: UInt64] = [:]
    private var isClosed = false

    init(_ settings: Settings, log: @escaping @Sendable (LogLine) -> Void) {
        self.settings = settings
        readers = OnDemand { () throws(LockError) in
            try ReaderPair(settings.connection, group: settings.group, log: log)
        }
        writer =
            settings.method == .transactional
            ? TransactionalClaimWriter(settings, log: log) : AcknowledgedClaimWriter(settings, log: log)
    }

    /// Makes the clients and a first transaction, which takes librdkafka 2.0.2 a second, before anything is claimed.
    /// - Parameter answer: gets what trying again would not mend.
    func warmUp(_ answer: @escaping @Sendable (LockError?) -> Void) {
        queue.start { [self] in
            do {
                try checkPartitions(try writer.client())
                _ = try readers.ready()
                try writer.warmUp()
                answer(nil)
            } catch let error as LockError {
                answer(error)
            } catch let failure as KafkaFailure {
                answer(failure.code.needsAttention.map { _ in LockError(failure, while: "the first write") })
            } catch {
                answer(nil)
            }
        }
    }

    /// Claims these shards together; `answer` is called exactly once. A claim that was cancelled ends early.
    func claim(
        _ shards: [Int32], _ metadata: GroupMetadata, _ cancellation: Cancellation,
        _ answer: @escaping @Sendable (Outcome) -> Void
    ) {
        queue.start { [self] in
            do {
                answer(.committed(try claims(of: shards, metadata, cancellation)))
            } catch let failure as KafkaFailure {
                answer(failure.code.isStaleMembership || failure.code.isRebalanceInProgress ? .stale : .retry)
            } catch let error as LockError {
                answer(.failed(.refused(error.message)))
            } catch {
                answer(.retry)
            }
        }
    }

    /// Lets the clients go; a claim under way ends first.
    func close() {
        queue.start { [self] in
            isClosed = true
            readers.drop()
            writer.close()
        }
    }

    /// Reads whom the newest committed claim of a shard names; `answer` is called exactly once. Nil is nobody, or that
    /// it could not be read.
    func findOwner(of shard: Int32, _ answer: @escaping @Sendable (ClaimRecord?) -> Void) {
        queue.start { [self] in answer(isClosed ? nil : try? newestClaim(of: shard)) }
    }

    private func newestClaim(of shard: Int32) throws -> ClaimRecord? {
        let readers = try readers.ready()
        // By the reader that waits for no transaction; and only what is decided.
        let start = try readers.uncommitted.groupOffsets(settings.topic, [shard], within: .seconds(1))
        let bounds = try readers.committed.bounds(settings.topic, shard, within: .seconds(1))
        let known = (start[shard] ?? nil).flatMap { bounds.contains($0) ? $0 : nil }
        var newest: ClaimRecord?
        try readers.committed.read(
            settings.topic, [shard: (known ?? bounds.lowerBound)..<bounds.upperBound], within: .seconds(1)
        ) { record in
            newest = ClaimRecord(record) ?? newest
        }
        return newest
    }

    private func claims(
        of shards: [Int32], _ metadata: GroupMetadata, _ cancellation: Cancellation
    ) throws -> [Int32: Claim] {
        let begun = ContinuousClock.now
        func goOn() throws {
            if cancellation.isCancelled { throw Abandoned() }
            if let patience = settings.patience, begun.duration(to: .now) > patience { throw Abandoned() }
        }
        try goOn()
        try checkPartitions(try writer.client())
        let readers = try readers.ready()
        let starts = try waitForOffsets(shards, readers.committed, goOn)
        let (largest, watermarks) = try readClaims(shards, from: starts, readers.uncommitted)
        try goOn()
        var claims: [Int32: Claim] = [:]
        var records: [Int32: ClaimRecord] = [:]
        for shard in shards {
            let known = [largest[shard], claimed[shard]].compactMap(\.self).max()
            let number = try ClaimNumber.next(above: known, at: WallClock.now)
            claimed[shard] = number
            records[shard] = ClaimRecord(
                partitions: settings.partitions, owner: settings.owner, member: metadata.membership.member,
                number: number)
            claims[shard] = Claim(number: number, offset: watermarks[shard] ?? 0)
        }
        try writer.write(records, claims.mapValues(\.offset), metadata, readers.uncommitted, goOn)
        return claims
    }

    /// Step 1. In slices, so that an abandoned claim does not keep the next one waiting.
    private func waitForOffsets(
        _ shards: [Int32], _ reader: LogReader, _ goOn: () throws -> Void
    ) throws -> [Int32: Int64?] {
        let deadline = ContinuousClock.now.after(settings.transactionTimeout + settings.requestTimeout)
        while true {
            do {
                return try reader.groupOffsets(settings.topic, shards, within: .seconds(1))
            } catch {
                guard error.code.isTransient, ContinuousClock.now < deadline else { throw error }
                try goOn()
            }
        }
    }

    /// Step 2. The watermarks are taken after step 1, and by the reader that sees everything.
    private func readClaims(
        _ shards: [Int32], from starts: [Int32: Int64?], _ reader: LogReader
    ) throws -> (largest: [Int32: UInt64], watermarks: [Int32: Int64]) {
        var ranges: [Int32: Range<Int64>] = [:]
        for shard in shards {
            let bounds = try reader.bounds(settings.topic, shard, within: settings.requestTimeout)
            // An offset that is not there any more says nothing: from the beginning.
            let start = (starts[shard] ?? nil).flatMap { bounds.contains($0) || $0 == bounds.upperBound ? $0 : nil }
            ranges[shard] = (start ?? bounds.lowerBound)..<bounds.upperBound
        }
        var largest: [Int32: UInt64] = [:]
        try reader.read(settings.topic, ranges, within: settings.transactionTimeout) { record in
            guard let claim = ClaimRecord(record) else { return }
            largest[record.partition] = max(largest[record.partition] ?? 0, claim.number)
        }
        return (largest, ranges.mapValues(\.upperBound))
    }

    private func checkPartitions(_ client: ClientHandle) throws {
        let count = try ClusterMetadata.partitionCount(
            of: settings.topic, client, within: settings.requestTimeout)
        if let count, count == settings.partitions {
            hasSeenTopic = true
            return
        }
        // A broker that has just come up may not know it yet.
        if count == nil, hasSeenTopic { throw TopicUnseen() }
        throw LockError(
            .incompatible,
            count.map {
                """
                the topic \(settings.topic.escapedForDisplay) has \($0) partitions, configured are \
                \(settings.partitions): names would belong to other shards; set the same number everywhere
                """
            }
                ?? "there is no topic \(settings.topic.escapedForDisplay); create it with \(settings.partitions) partitions"
        )
    }
}
