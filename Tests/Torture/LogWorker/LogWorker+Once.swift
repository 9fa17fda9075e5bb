import MQLock
import MQLockKafka

// Jobs that are done once in a period.
extension LogWorker {
    /// For each command `do NUMBER NAME PERIOD TIME PLAN` does the job of that name, if nobody has: see ``OnceJob``. PERIOD is
    /// `hour` by a clock that shows TIME, in milliseconds since 1970, or a key. `stop` ends in good order.
    static func once(_ locks: KafkaLocks, journal path: String, _ commands: AsyncStream<String>) async throws {
        let job = OnceJob(journal: path)
        say("ready")
        for await command in commands {
            let words = command.split(separator: " ").map(String.init)
            guard words.count == 6, let time = Int64(words[4]) else { break }
            let (number, plan) = (words[1], words[5])
            let period = words[3] == "hour" ? Period.hour : try Period.key(words[3])
            let keeper = OffClock(locks: locks, timeOfDay: time)
            let outcome = await job.run(number, plan, over: keeper, try LockName(words[2]), for: period)
            say("over \(number) \(outcome)")
        }
        await locks.shutdown()
        say("stopped")
    }
}

/// Locks of a machine whose clock shows something else.
private struct OffClock: MarkKeeping {
    let locks: KafkaLocks
    let timeOfDay: Int64

    var capabilities: LockCapabilities { locks.capabilities }

    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await locks.acquire(name, within: limit)
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { try await locks.tryAcquire(name) }

    func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        try await locks.marks(of: name, within: limit)
    }

    func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        try await locks.write(mark, of: name, within: limit)
    }
}
