import MQLock

/// Reads a partition of the lock log as a session does, without being one. Blocks; belongs to one thread.
final class LogWatch {
    private let follower: LogFollower
    private let partition: Int32
    private let settings: LogDriver.Settings
    private(set) var view: LogView?

    /// A change in the log.
    struct Change {
        let before: LockTable
        let after: LockTable
        let record: LogRecord
    }

    init(_ settings: LogDriver.Settings, _ partition: Int32) throws(LockError) {
        follower = try LogFollower(settings.connection, topic: settings.topic, log: settings.log)
        (self.partition, self.settings) = (partition, settings)
    }

    /// Reads up to the current end. Tries again after temporary failures.
    func catchUp(
        until deadline: ContinuousClock.Instant, _ cancellation: Cancellation
    ) throws(LockError) -> LockTable {
        while true {
            do throws(LockError) {
                if let view = try start(until: deadline, cancellation) {
                    self.view = view
                    return view.table
                }
            } catch {
                guard error.code == .unreachable, ContinuousClock.now < deadline else { throw error }
            }
            try check(until: deadline, cancellation)
        }
    }

    /// The next record that has an effect; nil when the time is over. A gap is an error: catch up again.
    func next(until deadline: ContinuousClock.Instant) throws(LockError) -> Change? {
        while let event = follower.poll(for: max(.zero, ContinuousClock.now.duration(to: deadline))) {
            switch event {
            case .entry(_, let entry):
                guard var view else { return nil }
                let before = view.table
                switch view.read(entry, isFresh: true, at: .now) {
                case .known: continue
                case .applied(let change):
                    self.view = view
                    guard change.hasEffect, case .record(let record) = entry.content else { continue }
                    return Change(before: before, after: view.table, record: record)
                case .gap, .contradicted: throw Self.missed
                case .newer(let version): throw LockError(.incompatible, LogPartition.newer(version))
                }
            case .lostPlace: throw Self.missed
            case .end, .failed: continue
            }
        }
        return nil
    }

    private func start(
        until deadline: ContinuousClock.Instant, _ cancellation: Cancellation
    ) throws(LockError) -> LogView? {
        let limit = max(.milliseconds(1), min(settings.requestTimeout, ContinuousClock.now.duration(to: deadline)))
        let look: LogLook?
        let scout = try LogFollower.scout(settings.connection, topic: settings.topic, log: settings.log)
        do throws(KafkaFailure) {
            try follower.learn(within: limit)
            look = try scout.look(at: partition, tail: settings.partition.session.tail, within: limit)?.look
        } catch {
            throw LockError(error, while: "asking for the lock log")
        }
        guard let look else { throw LockError(.incompatible, "there is no such topic; create it for the locks") }
        var start = LogStart(look)
        var step = start.begin(at: .now)
        while true {
            switch step {
            case .ready(let view):
                if look.bounds.isEmpty { try follow(from: view.table.next) }
                return view
            case .again: return nil
            case .newer(let version): throw LockError(.incompatible, LogPartition.newer(version))
            case .shards: throw LockError(.incompatible, LogPartition.isOfShards)
            case .seek(let offset): try follow(from: offset)
            case .goesOn: break
            }
            step = .goesOn
            switch follower.poll(for: .milliseconds(200)) {
            case .entry(_, let entry): step = start.read(entry, at: .now)
            case .end(_, let offset): step = start.reached(offset, at: .now)
            case .lostPlace: return nil
            case .failed, nil: try check(until: deadline, cancellation)
            }
        }
    }

    private func follow(from offset: Int64) throws(LockError) {
        do throws(KafkaFailure) {
            try follower.follow(partition, from: offset)
        } catch {
            throw LockError(error, while: "reading the lock log")
        }
    }

    private func check(until deadline: ContinuousClock.Instant, _ cancellation: Cancellation) throws(LockError) {
        if cancellation.isCancelled { throw LockError(.cancelled, "the question was cancelled") }
        guard ContinuousClock.now < deadline else {
            throw LockError(.unreachable, "the lock log could not be read in time; check the brokers and the network")
        }
    }

    private static let missed = LockError(.unreachable, "records of the lock log are gone that had not been read")
}
