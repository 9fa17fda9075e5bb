import Foundation
import MQLock
import MQLockKafka

// Jobs that are done once in a period.
extension LogWorker {
    /// For each command `do NUMBER NAME PERIOD TIME PLAN` does the job of that name, if nobody has, and says
    /// `over NUMBER done|skipped|error …`. PERIOD is `hour` by a clock that shows TIME, in milliseconds since 1970, or a key.
    /// The job writes `start` and `end` into the journal that all these processes share, in the order of the writes; PLAN says
    /// where the process kills itself: at the `start`, at the `end` (before the mark), or not at all. `stop` ends in good
    /// order.
    static func once(_ locks: KafkaLocks, journal path: String, _ commands: AsyncStream<String>) async throws {
        let journal = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        @Sendable func write(_ words: String) {
            let line = Array("\(words)\n".utf8)
            _ = line.withUnsafeBytes { Foundation.write(journal, $0.baseAddress, $0.count) }
        }
        say("ready")
        for await command in commands {
            let words = command.split(separator: " ").map(String.init)
            guard words.count == 6, let time = Int64(words[4]) else { break }
            let (number, plan) = (words[1], words[5])
            do {
                let period = words[3] == "hour" ? Period.hour : try Period.key(words[3])
                let keeper = OffClock(locks: locks, timeOfDay: time)
                let result = try await keeper.once(words[2], for: period, within: .seconds(60)) { lease in
                    write("start \(number) \(lease.fencingToken)")
                    if plan == "start" { kill(getpid(), SIGKILL) }
                    try? await Task.sleep(for: .milliseconds(5))
                    if Task.isCancelled {
                        write("stop \(number) \(lease.fencingToken)")
                        throw CancellationError()
                    }
                    write("end \(number) \(lease.fencingToken)")
                    if plan == "end" { kill(getpid(), SIGKILL) }
                    return lease.fencingToken
                }
                switch result {
                case .done(let token): say("over \(number) done \(token)")
                case .skipped(let mark): say("over \(number) skipped \(mark.fencingToken)")
                }
            } catch {
                say("over \(number) error \(error)")
            }
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
