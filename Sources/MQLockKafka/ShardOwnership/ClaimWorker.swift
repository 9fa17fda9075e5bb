import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Steps 1 to 3 of a claim, on a thread of its own: every library call here blocks.
///
/// 1. wait until no earlier owner's transaction is open on the group's offset of the shard;
/// 2. read the largest number of all claims up to that offset's high watermark, aborted ones included;
/// 3. append a larger one; in one transaction with the watermark as group offset and the membership of the assignment,
///    which the broker checks, where it has transactions.
final class ClaimWorker: @unchecked Sendable {
    typealias Claim = OwnershipMachine.Claim
    typealias Outcome = OwnershipMachine.ClaimOutcome

    /// What to claim, and where.
    struct Settings: Sendable {
        var connection: KafkaConnection
        var topic: String
        var group: String
        /// The service's own topic, which has as many partitions.
        var records: String?
        var partitions: Int
        var owner: String
        var method = ClaimMethod.transactional
        /// After which the broker aborts a transaction whose owner is gone. Step 1 may take that long.
        var transactionTimeout: Duration = .seconds(10)
        /// For each other question to the broker.
        var requestTimeout: Duration = .seconds(5)
        /// No claim may take longer: its owner may have been stopped, and another member may have claimed since. Nil
        /// where the broker refuses such a claim.
        var patience: Duration?
        /// How long to wait for a missing topic: brokers show a new one up to a second after they have reported its
        /// creation.
        var topicPatience: Duration = .seconds(5)
        /// How far numbers, and this machine's clock, may be ahead of others.
        var lead: Duration = .seconds(24 * 60 * 60)
        /// Milliseconds since 1970.
        var wallClock: @Sendable () -> Int64 = { WallClock.now }
    }

    /// The outcome of a claim, and the trouble that people should know of; nil for the usual effects of a rebalance.
    typealias Answer = @Sendable (Outcome, LockError?) -> Void

    private struct Abandoned: Error {}
    private struct TookTooLong: Error {}

    private let settings: Settings
    private let queue = BlockingQueue("claims")
    // Used on the queue only.
    private var readers: OnDemand<ReaderPair, LockError>
    private let writer: any ClaimWriter
    private var topicMissingSince: ContinuousClock.Instant?
    /// Nobody waits for anything any more.
    private let closing = Cancellation()
    /// The largest numbers that this worker has claimed: no later one may be smaller, whatever has happened to the
    /// topic.
    private var claimed: [Int32: UInt64] = [:]
    private var isClosed = false

    /// - Parameter writer: for tests; the one of the settings' method when left out.
    init(_ settings: Settings, writer: (any ClaimWriter)? = nil, log: @escaping @Sendable (LogLine) -> Void) {
        self.settings = settings
        readers = OnDemand { () throws(LockError) in
            try ReaderPair(settings.connection, group: settings.group, log: log)
        }
        self.writer =
            writer
            ?? (settings.method == .transactional
                ? TransactionalClaimWriter(settings, log: log) : AcknowledgedClaimWriter(settings, log: log))
    }

    /// Looks for the topic, then creates the clients and writes a first transaction, which takes librdkafka 2.0.2 a
    /// second, before anything is claimed.
    /// - Parameters:
    ///   - seen: called when the topic exists, or the cluster does not answer: it is time to join the group. A member
    ///     that joins earlier would only see the topic when its metadata is refreshed.
    ///   - answer: gets the error, and whether it is permanent.
    func warmUp(seen: @escaping @Sendable () -> Void, _ answer: @escaping @Sendable (Outcome, LockError?) -> Void) {
        queue.start { [self] in
            do {
                do {
                    try waitForTopic(needsLeaders: true)
                } catch let failure as KafkaFailure where !failure.code.isFinal {}
                seen()
                try checkForLockLog()
                try writer.warmUp()
                try checkClock()
                answer(.retry, nil)
            } catch {
                let (outcome, trouble) = judge(error, while: "claiming")
                // A member that may not write from the start is set up wrongly.
                answer(trouble?.code == .accessRefused ? .failed(.refused(trouble?.message ?? "")) : outcome, trouble)
            }
        }
    }

    /// Waits for a missing topic. `answer` gets nil when it exists, and otherwise why waiting makes no sense.
    func findTopic(_ answer: @escaping @Sendable (LockError?) -> Void) {
        queue.start { [self] in
            do {
                try waitForTopic(needsLeaders: false)
                answer(nil)
            } catch {
                let (outcome, trouble) = judge(error, while: "looking for the topic")
                if case .failed = outcome { answer(trouble) } else { answer(nil) }
            }
        }
    }

    /// Claims these shards together; `answer` is called exactly once. A cancelled claim ends early.
    func claim(
        _ shards: [Int32], _ metadata: GroupMetadata, _ cancellation: Cancellation, _ answer: @escaping Answer
    ) {
        queue.start { [self] in
            do {
                answer(.committed(try claims(of: shards, metadata, cancellation)), nil)
            } catch {
                let (outcome, trouble) = judge(error, while: "claiming")
                answer(outcome, trouble)
            }
        }
    }

    /// What an error means for the claim, and what people should know of it.
    private func judge(_ error: any Error, while doing: String) -> (Outcome, LockError?) {
        switch error {
        case let failure as KafkaFailure where failure.code.isStaleMembership || failure.code.isRebalanceInProgress:
            return (.stale, nil)
        case let failure as KafkaFailure:
            var error = LockError(failure, while: doing)
            if failure.code.isFinal { return (.failed(.refused(error.message)), error) }
            if settings.method == .transactional, failure.code.isTimeOut {
                error = LockError(
                    error.code,
                    """
                    \(error.message), and whether the brokers have transactions (without them: ClaimMethod.acknowledged, \
                    claims=acknowledged in a URI)
                    """, underlying: failure)
            }
            return (.retry, error)
        case let missing as TopicMissing: return (.retry, missing.error)
        case let error as LockError: return (.failed(.refused(error.message)), error)
        case is AcknowledgedClaimWriter.Overtaken:
            return (
                .retry, LockError(.unreachable, "\(doing): another claim stood behind ours before it was read back")
            )
        case is TookTooLong:
            return (.retry, LockError(.unreachable, "\(doing): it took longer than a session, and was not written"))
        default: return (.retry, nil)
        }
    }

    /// Closes the clients; a claim under way ends first.
    func close() {
        closing.cancel()
        queue.start { [self] in
            isClosed = true
            readers.drop()
            writer.close()
        }
    }

    /// Reads the owner in a shard's newest committed claim; `answer` is called exactly once. Nil means there is none,
    /// or it could not be read.
    func findOwner(of shard: Int32, _ answer: @escaping @Sendable (ClaimRecord?) -> Void) {
        queue.start { [self] in answer(isClosed ? nil : try? newestClaim(of: shard)) }
    }

    private func newestClaim(of shard: Int32) throws -> ClaimRecord? {
        let readers = try readers.ready()
        // With the reader that waits for no transaction, and only what is decided.
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
            if let patience = settings.patience, begun.duration(to: .now) > patience { throw TookTooLong() }
        }
        try goOn()
        try checkTopics()
        let readers = try readers.ready()
        let starts = try waitForOffsets(shards, readers.committed, goOn)
        let (largest, watermarks) = try readClaims(shards, from: starts, readers.uncommitted)
        try goOn()
        var claims: [Int32: Claim] = [:]
        var records: [Int32: ClaimRecord] = [:]
        for shard in shards {
            let known = [largest[shard], claimed[shard]].compactMap(\.self).max()
            let number = try ClaimNumber.next(above: known, at: settings.wallClock(), lead: settings.lead)
            claimed[shard] = number
            records[shard] = ClaimRecord(
                partitions: settings.partitions, owner: settings.owner, member: metadata.membership.member,
                number: number)
            claims[shard] = Claim(number: number, offset: watermarks[shard] ?? 0)
        }
        try writer.write(records, claims.mapValues(\.offset), metadata, readers.uncommitted, goOn)
        return claims
    }

    /// Step 1. In slices, so that an abandoned claim does not delay the next one.
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

    /// Step 2. The watermarks are read after step 1, with the reader that sees everything.
    private func readClaims(
        _ shards: [Int32], from starts: [Int32: Int64?], _ reader: LogReader
    ) throws -> (largest: [Int32: UInt64], watermarks: [Int32: Int64]) {
        var ranges: [Int32: Range<Int64>] = [:]
        for (shard, bounds) in try reader.bounds(settings.topic, shards, within: settings.requestTimeout) {
            // An offset that no longer exists says nothing: read from the beginning.
            let start = (starts[shard] ?? nil).flatMap { bounds.contains($0) || $0 == bounds.upperBound ? $0 : nil }
            ranges[shard] = (start ?? bounds.lowerBound)..<bounds.upperBound
        }
        var largest: [Int32: UInt64] = [:]
        var isLockLog = false
        try reader.read(settings.topic, ranges, within: settings.transactionTimeout) { record in
            if LogRecord.isOurs(record.value) { isLockLog = true }
            guard let claim = ClaimRecord(record) else { return }
            largest[record.partition] = max(largest[record.partition] ?? 0, claim.number)
        }
        if isLockLog { throw Self.isLockLog(settings.topic) }
        return (largest, ranges.mapValues(\.upperBound))
    }

    // MARK: The topic and the clock

    /// Before anything is written: a transaction's marker is a gap in the log, and ends all lock sessions there.
    private func checkForLockLog() throws {
        guard
            try readers.ready().uncommitted.isLockLog(
                settings.topic, partitions: settings.partitions, within: settings.requestTimeout)
        else { return }
        throw Self.isLockLog(settings.topic)
    }

    private static func isLockLog(_ topic: String) -> LockError {
        LockError(
            .incompatible,
            """
            the topic \(topic.escapedForDisplay) is a log of locks (KafkaLocks), by the records in it; shards need a topic \
            of their own
            """)
    }

    /// The topic is missing for now. The worker's settings say how long to wait.
    private struct TopicMissing: Error { let error: LockError }

    /// Checks that the topics are set up as required.
    /// - Returns: how many partitions have no leader at the moment.
    /// - Throws: ``TopicMissing`` while that may pass, then `LockError`.
    @discardableResult
    private func checkTopics() throws -> Int {
        let reader = try readers.ready().uncommitted
        var withoutLeader = 0
        for name in [settings.topic, settings.records].compactMap(\.self) {
            guard let topic = try reader.topic(name, within: settings.requestTimeout) else { throw missing(name) }
            withoutLeader += topic.withoutLeader
            guard topic.partitions == settings.partitions else {
                throw LockError(
                    .incompatible,
                    """
                    the topic \(name.escapedForDisplay) has \(topic.partitions) partitions, configured are \
                    \(settings.partitions): names would belong to other shards; set the same number everywhere
                    """)
            }
        }
        topicMissingSince = nil
        return withoutLeader
    }

    private func missing(_ topic: String) -> any Error {
        let error = LockError(
            .incompatible,
            "there is no topic \(topic.escapedForDisplay); create it with \(settings.partitions) partitions")
        let since = topicMissingSince ?? .now
        topicMissingSince = since
        return since.duration(to: .now) < settings.topicPatience ? TopicMissing(error: error) : error
    }

    /// - Parameter needsLeaders: whether to wait, no longer than for a topic, until all partitions have a leader: a
    ///   record for a partition without one would delay its transaction.
    private func waitForTopic(needsLeaders: Bool) throws {
        let deadline = ContinuousClock.now.after(settings.topicPatience)
        while true {
            do {
                let withoutLeader = try checkTopics()
                if !needsLeaders || withoutLeader == 0 || ContinuousClock.now >= deadline { return }
            } catch let missing as TopicMissing {
                if closing.isCancelled { throw missing }
            } catch let failure as KafkaFailure where !needsLeaders && !failure.code.isFinal {
                // Nothing is known of the topic then.
                topicMissingSince = nil
            }
            if closing.isCancelled { throw Abandoned() }
            usleep(50_000)
        }
    }

    /// Before anything is claimed: a number from a clock that is far ahead would end all other members. Topics with
    /// `message.timestamp.type=LogAppendTime` show the broker's time; others do not.
    private func checkClock() throws(LockError) {
        guard let broker = writer.brokerTime else { return }
        try ClaimNumber.check(settings.wallClock(), against: broker, lead: settings.lead)
    }
}
