public import MQLock

/// Shows who holds the locks of a Kafka topic and who waits for them, and asks holders to yield.
///
/// Everything is in the log, so no process has to answer, and a stopped holder is seen too. Connects for each call and
/// acquires no lock. For each contender the log has the owner, as configured, and nothing more. How long a holder has
/// held is by the clock of the first contender in the line at that time.
public struct KafkaLockInspector: LockInspector {
    let settings: LogDriver.Settings

    /// Creates an inspector; no I/O happens before the first use.
    /// - Parameter configuration: the cluster, the topic and the number of partitions.
    /// - Throws: `LockError` with code `invalidConfiguration` when a value makes no sense.
    public init(_ configuration: KafkaLocks.Configuration) throws(LockError) {
        settings = try configuration.settings()
    }

    /// The names that are held now, sorted by their bytes.
    /// - Parameter limit: how long to try to read each partition.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `incompatible`, `cancelled`.
    public func heldNames(within limit: Duration = .seconds(10)) async throws(LockError) -> [LockName] {
        try await locks(within: limit).map(\.name)
    }

    /// The same, with holders and waiters.
    package func locks(within limit: Duration) async throws(LockError) -> [LockView] {
        var views: [LockView] = []
        for partition in 0..<Int32(settings.partitions) {
            let table = try await table(of: partition, within: limit)
            views += table.lines.keys.map { LockView(name: $0, contenders: table.contenders(for: $0), queue: .log) }
        }
        return views.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// Who holds a lock and who waits for it.
    /// - Parameters:
    ///   - name: the lock to look at.
    ///   - limit: how long to try to read the log.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `incompatible`, `cancelled`.
    public func view(_ name: LockName, within limit: Duration = .seconds(10)) async throws(LockError) -> LockView {
        let contenders = try await table(of: partition(of: name), within: limit).contenders(for: name)
        return LockView(name: name, contenders: contenders, queue: .log)
    }

    /// What has been done under a lock once per period: the last marks, ordered by token. Writes nothing.
    /// - Parameters:
    ///   - name: the lock to look at.
    ///   - limit: how long to try to read the log.
    /// - Throws: `LockError`: `unreachable`, `accessRefused`, `incompatible`, `cancelled`.
    public func marks(of name: LockName, within limit: Duration = .seconds(10)) async throws(LockError) -> [DoneMark] {
        try await table(of: partition(of: name), within: limit).done.marks(of: name)
    }

    /// Every change of a lock in the log, beginning with its current state.
    ///
    /// Continues over lost connections until its task is cancelled. A reader that is too slow misses the oldest
    /// changes.
    public func changes(of name: LockName) -> AsyncThrowingStream<LockChange, any Error> {
        let (settings, partition) = (settings, partition(of: name))
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1024)) { continuation in
            let task = Task {
                do throws(LockError) {
                    try await BlockingQueue("watch").run { cancellation throws(LockError) in
                        try Self.watch(name, settings, partition, cancellation) { continuation.yield($0) }
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error.code == .cancelled ? nil : error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// Asks the holder with this token to give up the lock, by a record that holders obey. Any client that may write to
    /// the topic can do this.
    /// - Parameters:
    ///   - name: the lock.
    ///   - token: the hold to end; a later hold is left alone.
    ///   - limit: how long to wait until the holder has given up the lock.
    /// - Returns: `silent` when the lock was not given up in time, or is not held with this token.
    /// - Throws: as ``view(_:within:)``.
    public func askToYield(
        _ name: LockName, token: FencingToken, within limit: Duration
    ) async throws(LockError) -> YieldAnswer {
        switch try await takeAway(name, token: token, within: limit, expires: false) {
        case .yielded(let holder), .expired(let holder): .yielding(holder)
        case .notHeld, .alive, .silent: .silent
        }
    }

    // MARK: Reading

    func partition(of name: LockName) -> Int32 {
        Murmur2.partition(of: name.utf8, count: Int(settings.partitions))
    }

    private func table(of partition: Int32, within limit: Duration) async throws(LockError) -> LockTable {
        let settings = settings
        return try await BlockingQueue("watch").run { cancellation throws(LockError) in
            let table = try LogWatch(settings, partition).catchUp(until: .now.after(limit), cancellation)
            try table.requireSpread(over: settings.partitions)
            return table
        }
    }

    private static func watch(
        _ name: LockName, _ settings: LogDriver.Settings, _ partition: Int32, _ cancellation: Cancellation,
        _ tell: (LockChange) -> Void
    ) throws(LockError) {
        var known = LockTable(next: 0)
        while !cancellation.isCancelled {
            do throws(LockError) {
                let watch = try LogWatch(settings, partition)
                let table = try watch.catchUp(until: .now.after(settings.requestTimeout), cancellation)
                try table.requireSpread(over: settings.partitions)
                for change in LockTable.changes(of: name, from: known, to: table, isFirst: known.next == 0) {
                    tell(change)
                }
                known = table
                while !cancellation.isCancelled {
                    guard let change = try watch.next(until: .now.after(.milliseconds(200))) else { continue }
                    for change in LockTable.changes(of: name, from: known, to: change.after, by: change.record) {
                        tell(change)
                    }
                    known = change.after
                }
            } catch {
                guard error.code == .unreachable else { throw error }
            }
        }
    }

    static func write(
        _ body: LogRecord.Body, _ settings: LogDriver.Settings, _ partition: Int32, above highest: UInt64
    ) throws(LockError) {
        let writer = try LogWriter(settings.connection, topic: settings.topic, ttl: settings.ttl, log: settings.log)
        let number = max(LogNumber.of(WallClock.now), highest) &+ 1
        let record = LogRecord(number: number, applied: -1, hash: 0, snapshot: nil, body: body)
        do throws(KafkaFailure) {
            try writer.learn(within: settings.requestTimeout)
            try writer.write(record, to: partition, id: 1)
            for report in writer.reports(within: settings.ttl) { if let failure = report.failure { throw failure } }
        } catch {
            throw LockError(error, while: "writing to the lock log")
        }
    }
}

extension LockTable {
    /// All contenders in a name's line, the holder first.
    func contenders(for name: LockName) -> [LockContender] {
        guard let line = lines[name] else { return [] }
        return line.places.enumerated().map { contender($0.element, at: $0.offset, token: line.token) }
    }

    /// The changes of a name's line to report.
    /// - Parameters:
    ///   - record: the record that made the change, if it is one record.
    ///   - isFirst: whether nothing was known before.
    static func changes(
        of name: LockName, from old: LockTable, to new: LockTable, by record: LogRecord? = nil, isFirst: Bool = false
    ) -> [LockChange] {
        let (before, after) = (old.lines[name], new.lines[name])
        var changes: [LockChange] = []
        for (index, place) in (before?.places ?? []).enumerated() where !(after?.places.contains(place) ?? false) {
            let contender = old.contender(place, at: index, token: before?.token ?? 0)
            if case .expire = record?.body {
                changes.append(
                    LockChange(index == 0 ? .lost : .left, contender, reason: "its session was silent, and has expired")
                )
            } else {
                changes.append(LockChange(index == 0 ? .released : .left, contender))
            }
        }
        for (index, place) in (after?.places ?? []).enumerated() {
            let contender = new.contender(place, at: index, token: after?.token ?? 0)
            if index == 0, before?.token != after?.token {
                changes.append(LockChange(isFirst ? .held : .granted, contender))
            } else if index > 0, !(before?.places.contains(place) ?? false) {
                changes.append(LockChange(.waiting, contender))
            }
        }
        return changes
    }

    private func contender(_ place: Place, at index: Int, token: UInt64) -> LockContender {
        // A token is made from the time of day.
        let since = FencingNumbering.milliseconds(of: token)
        let hold = index == 0 ? FencingToken(rawValue: token).map { (token: $0, since: since) } : nil
        return LockContender(
            logged: place.session.description, owner: sessions[place.session]?.owner ?? "", mutex: "log",
            place: index == 0 ? nil : index, hold: hold, now: WallClock.now)
    }
}
